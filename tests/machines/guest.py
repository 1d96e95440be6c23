"""The steps that are run on a machine, with what each found: `python -m tests.machines.guest FOLDER
STEP...`, as root. Each step writes FOLDER/STEP.json, a `Found`, and FOLDER/STEP.log."""

import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

PYTHON = sys.executable
DRAINMON = str(Path(sys.executable).with_name("drainmon"))
CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids", "freezer", "devices", "blkio", "cpu")
CONTAINERS = ("test_containers", "test_host_network")
DRAINS = ("test_drain", "test_exact", "test_probes", "test_sources", "test_churn")
QUICK = ("test_conntrack", "test_cut", "test_dropped", "test_sources", "test_wake_ups", "test_wire")
"""Of tests/kernel: those of the programs, for every change. Without bcc, whose compiler takes
most of the time on an emulated machine."""


@dataclass
class Found:
    """What a step found. `good`: nothing to mend; `text`: the cell of the table."""

    good: bool
    text: str
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)


def check(log: Path) -> Found:
    output = _run([DRAINMON, "check", "--json"], log)
    source = json.loads(output)["source"] if output.startswith("{") else None
    return Found(bool(source), source or "none")


def kernel(log: Path) -> Found:
    return _pytest(["tests/kernel"], log)


def quick(log: Path) -> Found:
    return _pytest(["-k", "not bcc", *(f"tests/kernel/{name}.py" for name in QUICK)], log)


def drains(log: Path) -> Found:
    return _pytest([f"tests/e2e/{name}.py" for name in DRAINS], log)


def containers(log: Path) -> Found:
    """Tests of cgroups: containers of runc, pods in the host's network, units of systemd."""
    return _pytest([f"tests/e2e/{name}.py" for name in CONTAINERS], log)


def demo(log: Path) -> Found:
    """The requests that a drain of nginx under load loses."""
    output = _run([PYTHON, "-m", "bench.demo", "--hook", "drainmon"], log)
    row = re.search(r"drainmon-wait.*?(\d[\d,]*) of ([\d,]+)", output)
    return Found(row is not None and row[1] == "0", f"{row[1]} of {row[2]}" if row else "failed")


def churn(log: Path) -> Found:
    """The disagreements after many connections, and the runs of the program that the kernel
    dropped."""
    argv = ["--connections", "20000", "--namespaces", "1", "--come-and-go", "0"]
    output = _run([PYTHON, "-m", "bench.churn", *argv], log)
    count = re.search(r"(\d+) disagreements", output)
    dropped = sum(map(int, re.findall(r"'recursion': (\d+)", output)))
    text = f"{count[1]}, {dropped} dropped" if count else "failed"
    return Found(count is not None and count[1] == "0", text)


def release(log: Path) -> Found:
    """How long after the last connection the client exits: the daemon's median and 99th percentile,
    in milliseconds."""
    output = _run([PYTHON, "-m", "bench.release", "--trials", "200"], log)
    row = re.search(r"daemon +median +([\d.]+) +p99 +([\d.]+)", output)
    return Found(row is not None, f"{row[1]} / {row[2]}" if row else "failed")


STEPS: dict[str, Callable[[Path], Found]] = {
    "check": check,
    "quick": quick,
    "kernel": kernel,
    "drains": drains,
    "containers": containers,
    "demo": demo,
    "churn": churn,
    "release": release,
}


def _pytest(arguments: list[str], log: Path) -> Found:
    report = log.with_suffix(".xml")
    argv = ["-m", "pytest", "-rs", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments]
    _run(["env", "--default-signal=INT", PYTHON, *argv], log)
    return counted(report) if report.exists() else Found(good=False, text="failed")


def counted(report: Path) -> Found:
    """The results of a run of pytest."""
    cases = list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314 - pytest wrote it
    bad = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skipped = [c for c in cases if c.find("skipped") is not None]
    passed = len(cases) - len(bad) - len(skipped)
    text = f"{passed} / {len(bad)}" + (f" ({len(skipped)} skipped)" if skipped else "")
    names = [f"{c.get('classname')}::{c.get('name')}" for c in bad]
    return Found(not bad and passed > 0, text, failed=names)


def _run(argv: list[str], log: Path) -> str:
    """The output, which also goes to the log."""
    with log.open("w") as file:
        subprocess.run(argv, stdout=file, stderr=subprocess.STDOUT, check=False)
    return log.read_text(errors="replace")


def mount_cgroups(layout: str) -> None:
    """Mount v1 in place of v2; with the layout "hybrid", v2 without controllers beside it."""
    _mount("umount", CGROUPS)
    _mount("mount", "-t", "tmpfs", "cgroup", CGROUPS)
    for name in CONTROLLERS:
        _mount("mount", "--mkdir", "-t", "cgroup", "-o", name, "cgroup", CGROUPS / name)
    if layout == "hybrid":
        _mount("mount", "--mkdir", "-t", "cgroup2", "cgroup2", CGROUPS / "unified")


def _mount(*argv: str | Path) -> None:
    subprocess.run(argv, check=True)


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    words = dict(word.partition("=")[::2] for word in Path("/proc/cmdline").read_text().split())
    if layout := words.get("cgroups"):
        mount_cgroups(layout)
    for name in names:
        began = time.monotonic()
        found = STEPS[name](folder / f"{name}.log")
        found.seconds = round(time.monotonic() - began, 1)
        (folder / f"{name}.json").write_text(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
