"""The image's packages from PyPI and npm are those that the project names, each pinned by hash."""

import json
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
def test_every_locked_package_has_hashes(name: str) -> None:
    hashes = r"(?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
    assert re.fullmatch(rf"(?:[a-z0-9-]+==\S+ \\\n{hashes})+", (ROOT / name).read_text())


def test_the_pages_library_is_pinned_by_hash_without_an_address() -> None:
    """With an address npm would ignore the configured registry or mirror."""
    lock = ROOT / "drainmon" / "server" / "page" / "package-lock.json"
    own, *libraries = json.loads(lock.read_text())["packages"].values()
    assert [library["version"] for library in libraries] == [*own["dependencies"].values()]
    for library in libraries:
        assert library["integrity"].startswith("sha512-")
        assert "resolved" not in library
