"""What is reported of a run of pytest."""

import subprocess
import sys
from pathlib import Path

from tests.machines.guest import counted

TESTS = """
import pytest

def test_passes(): pass

def test_fails(): assert False

@pytest.mark.skip(reason="why")
def test_is_skipped(): pass

@pytest.fixture
def broken(): raise RuntimeError

def test_cannot_begin(broken): pass
"""


def test_results_are_counted(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    report = tmp_path / "report.xml"
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}"]
    subprocess.run([*argv, str(tmp_path)], cwd=tmp_path, capture_output=True, check=False)
    found = counted(report)
    assert (found.good, found.text) == (False, "1 / 2 (1 skipped)")
    assert found.failed == ["test_some::test_fails", "test_some::test_cannot_begin"]
