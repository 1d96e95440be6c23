"""The image's Python packages are those of pyproject.toml, each pinned by hash."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.cluster.manifests import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PINNED = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", LOCK, re.MULTILINE))


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"]:
        wanted = Requirement(text)
        assert wanted.name in PINNED, f"make lock: {wanted.name} is missing"
        assert PINNED[wanted.name] in wanted.specifier, f"make lock: {text}"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_each_has_hashes_and_nothing_else(name: str) -> None:
    hashes = r"(?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
    assert re.fullmatch(rf"(?:[a-z0-9-]+==\S+ \\\n{hashes})+", (ROOT / name).read_text())
