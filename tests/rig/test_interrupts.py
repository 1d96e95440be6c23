"""An interrupt waits until the operation that it would have broken is complete."""

import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.rig.interrupts import held_back
from bench.rig.netns import NAMES, delete_netns
from tests.rig.left import processes

AMID_POPEN = """
import signal, subprocess, sys
from pathlib import Path
from bench.endings import clean_up_when_told
from bench.rig.daemon import running_daemon
from bench.rig.netns import fresh_netns

def fork_exec(*arguments):
    subprocess._fork_exec = real
    pid = real(*arguments)
    signal.raise_signal(signal.SIGTERM)
    return pid

word, program = sys.argv[1:]
clean_up_when_told()
real, subprocess._fork_exec = subprocess._fork_exec, fork_exec
with {block}:
    pass
"""
"""A process with these arguments, which gets a signal while it starts its first child."""


def test_a_delayed_interrupt_comes_at_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest of the block")
    assert done


def test_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with held_back():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_can_use_the_block() -> None:
    entered = []

    def enter() -> None:
        with held_back():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered


@pytest.mark.root
@pytest.mark.parametrize(
    "block",
    ["fresh_netns(word)", "running_daemon(Path(program), Path(word), Path('/dev/null'))"],
)
def test_a_signal_amid_the_start_of_a_child_leaves_no_process(block: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nimport signal; signal.pause()\n")
    program.chmod(0o755)
    word = f"drainmon-{secrets.token_hex(4)}"
    argv = [sys.executable, "-c", AMID_POPEN.format(block=block), word, str(program)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
    left = processes(word)
    for process in left:
        process.kill()
    names = [path.name for path in NAMES.iterdir() if path.name.startswith(word)]
    for name in names:
        delete_netns(name)
    assert (left, names) == ([], [])
