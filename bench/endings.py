"""How a bench ends: by signals or by errors, and always through every cleanup."""

import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from bench.rig.errors import RigError
from bench.terminal import Terminal


def clean_up_when_told() -> None:
    """Make SIGTERM and SIGHUP raise SystemExit; Ctrl-C raises KeyboardInterrupt anyway."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _exit)


def exit_status(name: str, terminal: Terminal, work: Callable[[], int], interrupted: str) -> int:
    """What `work` returns; 2 and the reason when the bench cannot run; 130 after Ctrl-C."""
    try:
        return work()
    except KeyboardInterrupt:
        terminal.clear()
        print(f"interrupted; {interrupted}", file=sys.stderr)
        return 130
    except RigError as error:
        why = str(error)
    except subprocess.CalledProcessError as error:
        why = f"cannot run {' '.join(error.cmd)}: {(error.stderr or '').strip() or error}"
    terminal.clear()
    print(f"{name}: {why}", file=sys.stderr)
    return 2


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
