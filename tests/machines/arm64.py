"""An emulated arm64 machine: Debian 12 with Debian's kernel, and this tree."""

import shutil
import subprocess
from pathlib import Path

from tests.machines import arm64_image
from tests.machines.arm64_image import Arm64Error

MEMORY, CPUS = "3G", "2"
CPU = "cortex-a72"  # without pointer authentication, which is slow to emulate
APPEND = ("root=/dev/vda", "rw", "init=/init", "panic=-1", "quiet", "mitigations=off")
"""Mitigations are off as on the other machines."""
SECONDS = 5400.0
NEEDED = ("qemu-system-aarch64", *arm64_image.NEEDED)


def missing() -> str:
    """The reason why no arm64 machine can run here, or nothing."""
    absent = [program for program in NEEDED if not shutil.which(program)]
    return f"cannot boot arm64: no {', '.join(absent)} here" if absent else ""


def run(results: Path, steps: tuple[str, ...]) -> str:
    """Boot, run these steps of guest.py, power off, and return the version of the kernel. What the
    machine writes is gone with it, except in `results`; the console goes to `console.log` in there.
    Raises Arm64Error when the machine cannot be made, or does not end in time."""
    arm64_image.make()
    argv = [
        "qemu-system-aarch64", "-machine", "virt", "-cpu", CPU, "-accel", "tcg,thread=multi",
        "-smp", CPUS, "-m", MEMORY, "-nographic", "-no-reboot", "-nic", "none",
        "-kernel", str(arm64_image.KERNEL), "-initrd", str(arm64_image.INITRD),
        "-append", " ".join((*APPEND, "--", *steps)),
        "-drive", f"file={arm64_image.IMAGE},if=virtio,format=raw,snapshot=on",
        "-virtfs", f"local,path={arm64_image.ROOT},mount_tag=src,security_model=none,readonly=on",
        "-virtfs", f"local,path={results.resolve()},mount_tag=results,security_model=none",
    ]  # fmt: skip
    with (results / "console.log").open("wb") as console:
        try:
            subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                timeout=SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Arm64Error(f"cannot finish in {SECONDS:.0f} s: see {console.name}") from error
    return arm64_image.VERSION.read_text().strip()
