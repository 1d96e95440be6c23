"""What a shell makes of the names of pods."""

import shutil
import subprocess
from pathlib import Path

import pytest

from drainmon.cli.completion import POD_NAMES

DAEMON = """
drainmon() { cat names; }
%s
_drainmon_pods "$1"
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [("shop/web", ["shop/web-1", "shop/web-2"]), ("", None), ("shop/web-3", [])],
)
def test_bash_runs_no_name(tmp_path: Path, typed: str, completed: list[str] | None) -> None:
    names = ["shop/web-1", "shop/web-2", "$(touch ran)", "`touch ran`", "a b", "*"]
    (tmp_path / "names").write_text("".join(f"{name}\n" for name in names))
    script = DAEMON % POD_NAMES["preamble"]["bash"]  # type: ignore[index]
    done = subprocess.run(
        ["bash", "-c", script, "bash", typed],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == (names if completed is None else completed)
    assert done.stderr == ""
    assert not (tmp_path / "ran").exists()
