"""An emulated machine with another kernel and this machine's file system."""

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.machines.debian import Kernel

MEMORY = "3G"
CPUS = "2"
NEEDED = ("qemu-system-x86_64", "script", "busybox", "modprobe")


class MachineError(Exception):
    """ "cannot X: why"."""


def missing() -> str:
    """The reason why no machine can run here, or nothing."""
    absent = [program for program in NEEDED if not shutil.which(program)]
    vng = Path(sys.executable).with_name("vng")
    absent += [] if vng.exists() else ["vng"]
    return f"cannot boot other kernels: no {', '.join(absent)} here" if absent else ""


def run(
    kernel: Kernel,
    tools: Path,
    argv: list[str],
    results: Path,
    seconds: float,
    append: tuple[str, ...] = (),
) -> None:
    """Boot, run a command as root, and power off. The command sees this machine's files. What it
    writes is gone with the machine, except in `results`, where `console.log` has the console's
    output. `tools` is a folder with virtiofsd; `append`: more of the kernel's command line. Raises
    MachineError when the command does not end in time."""
    script = f"ulimit -n 20000; ip link set lo up; exec {shlex.join(argv)}"
    path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    vng = [
        "vng", "--verbose", "--run", str(kernel.image),
        "--disable-kvm",  # emulation is slow, but works on any machine
        "--disable-microvm", "--cpus", CPUS, "--memory", MEMORY, "--user", "root",
        "--rwdir", str(results), "--append", " ".join(("mitigations=off", *append)),
        "--", "bash", "-c", script,
    ]  # fmt: skip
    # vng requires a terminal.
    with (results / "console.log").open("wb") as console:
        process = subprocess.Popen(
            ["script", "-qec", shlex.join(vng), "/dev/null"], stdin=subprocess.DEVNULL,
            stdout=console, stderr=console, env=os.environ | {"PATH": path},
        )  # fmt: skip
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise MachineError(f"cannot finish in {seconds:.0f} s: see {console.name}") from error
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill what runs for the machine, if anything does."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
        process.wait()
