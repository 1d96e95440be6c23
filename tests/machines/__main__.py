"""Run drainmon on other kernels, and print what each found: `python -m tests.machines 6.1 6.12`.

Each kernel is Debian's newest with these numbers, booted by QEMU without KVM, with this machine's
file system. What follows its numbers goes on its command line: `6.12,preempt=full`.
`6.1,cgroups=v1` and `6.1,cgroups=hybrid` have these cgroups in place of v2. `arm64` is Debian 12
for arm64, with its own kernel and files. Exit status: 0 when every step was good, 1 when one was
not, 2 when no machine can run here.
"""

import argparse
import json
import re
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.machines import arm64, machine
from tests.machines.arm64_image import Arm64Error
from tests.machines.debian import Archive, DebianError
from tests.machines.guest import STEPS, Found
from tests.machines.machine import MachineError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "kernels"
ARM64 = "arm64"
SECONDS = 3600.0
"""For all steps on one kernel."""
NOT_RUN = Found(good=False, text="not run")

Boot = Callable[[Path, list[str]], str]
"""Runs the steps in a new machine, with their results in a folder; returns the kernel's version."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.machines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kernels", nargs="+", metavar="KERNEL[,OPTION...]")
    parser.add_argument(
        "--step", choices=STEPS, action="append", help="only this one (repeatable); default: all"
    )
    options = parser.parse_args()
    steps = options.step or [name for name in STEPS if name != "quick"]
    kernels = [kernel for kernel in options.kernels if kernel != ARM64]
    reasons = [
        machine.missing() if kernels else "",
        arm64.missing() if ARM64 in options.kernels else "",
    ]
    if any(reasons):
        print(*filter(None, reasons), sep="\n", file=sys.stderr)
        return 2
    boots: dict[str, Boot] = {ARM64: _boot_arm64}
    if kernels:
        try:
            archive = Archive(FOLDER / "apt")
            tools = archive.virtiofsd()
        except DebianError as error:
            print(error, file=sys.stderr)
            return 2
        boots |= {kernel: partial(_boot, archive, tools, kernel) for kernel in kernels}
    print(f"| kernel | {' | '.join(steps)} | minutes |")
    print("|---|" + "---|" * (len(steps) + 1))
    return max([_row(boots[kernel], kernel, steps) for kernel in options.kernels])


def _boot(archive: Archive, tools: Path, kernel: str, results: Path, steps: list[str]) -> str:
    version, *append = kernel.split(",")
    found = archive.kernel(version)
    argv = [sys.executable, "-m", "tests.machines.guest", str(results), *steps]
    machine.run(found, tools, argv, results, SECONDS, tuple(append))
    return f"{found.version}{' '.join(['', *append])}"


def _boot_arm64(results: Path, steps: list[str]) -> str:
    return f"{arm64.run(results, tuple(steps))} arm64"


def _row(boot: Boot, kernel: str, steps: list[str]) -> int:
    """Run the steps on one kernel, and print its row; returns the exit status."""
    results = FOLDER / "results" / re.sub("[,=]", "-", kernel)  # virtme-ng splits a path there
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    began = time.monotonic()
    try:
        name = boot(results, steps)
    except (DebianError, MachineError, Arm64Error) as error:
        print(f"{kernel}: {error}", file=sys.stderr)
        return 1
    rows = [_read(results / f"{step}.json") for step in steps]
    minutes = (time.monotonic() - began) / 60
    print(f"| {name} | {' | '.join(row.text for row in rows)} | {minutes:.0f} |", flush=True)
    for step, row in zip(steps, rows, strict=True):
        if row == NOT_RUN:
            print(f"{kernel}: {step} did not end: see {results}/console.log", file=sys.stderr)
        for test in row.failed:
            print(f"{kernel}: {step}: {test} failed: see {results}/{step}.log", file=sys.stderr)
    return 0 if all(row.good for row in rows) else 1


def _read(path: Path) -> Found:
    if not path.exists():
        return NOT_RUN
    return Found(**json.loads(path.read_text()))


if __name__ == "__main__":
    sys.exit(main())
