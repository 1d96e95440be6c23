"""The wheel for the image has every file that a checkout has beside its modules."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cluster.manifests import ROOT

PAGE = "drainmon/server/page"
OF_NPM = {f"{PAGE}/{name}" for name in (".npmrc", "package.json", "package-lock.json")}
PROGRAMS = {"drainmon/kernel/drainmon.bpf.o", "drainmon/kernel/conntrack.bcc.c"}

SOURCES = (
    "Makefile", "pyproject.toml", "README.md", "LICENSE", "bpf", "drainmon",
    "build/.build-packages", "build/npm/.installed", "build/drainmon.bpf.o",
)  # fmt: skip
"""With the files built from them: only the wheel is built anew."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """Built as in the image: from files alone, without the list of an earlier installation
    (drainmon.egg-info), which setuptools would use."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        source, target = ROOT / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    npm = Path(sys.executable).with_name("npm")
    subprocess.run(["make", "-s", "-C", copy, "wheel", f"NPM={npm}"], check=True)
    (built,) = (copy / "build" / "wheel").glob("*.whl")
    return zipfile.Path(built)


def test_wheel_has_the_pages_files_and_the_kernel_programs(wheel: zipfile.Path) -> None:
    page = {
        str(path.relative_to(ROOT)) for path in (ROOT / PAGE).rglob("*") if path.is_file()
    } - OF_NPM
    assert f"{PAGE}/index.html" in page
    assert page | PROGRAMS <= set(wheel.root.namelist())


def test_the_pages_library_comes_with_its_licence(wheel: zipfile.Path) -> None:
    folder = wheel / PAGE / "uplot"
    assert {path.name for path in folder.iterdir()} == {"LICENSE", "uPlot.esm.js", "uPlot.min.css"}
    licence = (folder / "LICENSE").read_text()
    assert licence.startswith("The MIT License")
    assert "Leon Sorokin" in licence
