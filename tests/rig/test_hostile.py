"""The attacks of bench.hostile take place as described, and leave nothing."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench import hostile
from bench.hostile import Attackers, Memory, Outcome, complaints, under
from bench.rig.attack import PER_PROCESS
from bench.rig.controllers import best_effort_group, memory_group
from bench.rig.netns import NAMES
from tests.rig.left import processes
from tests.waiting import eventually

MB = 1 << 20
MEMORY = Memory(rss=40 * MB, maps=1, kernel=2)
QUIET = Outcome([0.004] * 30, MEMORY, MEMORY, {}, Counter(drained=30), "core", 0)


def _attacked() -> set[str]:
    return {path.name for path in NAMES.glob("drainmon-hostile-*")}


def _sockets(namespace: str, *flags: str) -> list[str]:
    argv = ["ip", "netns", "exec", namespace, "ss", "-Htnp", *flags]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.root
@pytest.mark.parametrize(
    ("way", "flags", "each"), [("listeners", ["-l"], 1), ("connections", [], 2)]
)
def test_an_attack_opens_the_given_number_of_sockets(way: str, flags: list[str], each: int) -> None:
    before = _attacked()
    with under([Attackers(way, "nginx", 300)]):
        (namespace,) = _attacked() - before
        rows = _sockets(namespace, *flags)
        assert len(rows) == 300 * each
        assert all('"nginx"' in row for row in rows)
    assert _attacked() == before
    assert not processes("bench.rig.attack")


@pytest.mark.root
def test_listen_loop_opens_new_listeners_continuously() -> None:
    before = _attacked()
    with under([Attackers("listen-loop", "other", 2)]):
        (namespace,) = _attacked() - before
        seen: set[str] = set()

        def three() -> bool:
            seen.update(row.split()[3] for row in _sockets(namespace, "-l"))
            return len(seen) >= 3

        eventually(three)
    assert _attacked() == before
    assert not processes("bench.rig.attack")


@pytest.mark.root
def test_cgroups_of_the_bench_work_and_are_removed() -> None:
    script = [sys.executable, "-c", "print(open('/proc/self/cgroup').read())"]
    with memory_group() as memory, best_effort_group() as share:
        for group in (memory, share):
            if group.folder is None:
                pytest.skip("needs cgroup controllers memory and cpu")
            said = subprocess.run(group.command(script), check=True, capture_output=True, text=True)
            assert group.folder.name in said.stdout
        assert (memory.kernel_bytes() or 0) >= 0
        folders = [group.folder for group in (memory, share) if group.folder]
    assert not any(folder.exists() for folder in folders)


@pytest.mark.root
def test_a_wrapped_program_runs_in_the_group(tmp_path: Path) -> None:
    with memory_group() as group:
        program = group.wrap(Path("/bin/cat"), tmp_path / "wrapped")
        argv = [str(program), "/proc/self/cgroup"]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        assert group.folder is None or group.folder.name in said


def test_large_attacks_are_split_into_processes() -> None:
    commands = list(Attackers("listeners", "other", PER_PROCESS + 1).commands())
    assert [command[-2:] for command in commands] == [
        [f"--number={PER_PROCESS}", "--place=0"],
        ["--number=1", "--place=1"],
    ]


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        (QUIET, ""),
        (replace(QUIET, seconds=[0.053] * 30), ""),
        (replace(QUIET, seconds=[0.055] * 30), "median worse by 51 ms"),
        (replace(QUIET, seconds=[0.004] * 29 + [0.1]), "p99 worse by 96 ms"),
        (replace(QUIET, after=replace(MEMORY, rss=48 * MB)), ""),
        (replace(QUIET, after=replace(MEMORY, rss=50 * MB)), "grown by 10 MB"),
        (replace(QUIET, drains=Counter(drained=29, failed=1)), "29 drained, 1 failed"),
        (replace(QUIET, replaced=2), "source replaced 2 times"),
        (replace(QUIET, source="bcc"), "now bcc"),
    ],
)
def test_effects_on_others_are_complaints(outcome: Outcome, complaint: str) -> None:
    found = complaints(outcome, QUIET, 30)
    assert bool(found) == bool(complaint)
    assert complaint in " ".join(found)


@pytest.mark.parametrize(("slow", "status"), [(False, 0), (True, 1)])
def test_hostile_fails_on_any_complaint(
    slow: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_attack = replace(QUIET, seconds=[1.0] * 30) if slow else QUIET
    monkeypatch.setattr(sys, "argv", ["hostile"])
    monkeypatch.setattr(hostile, "endure", lambda attack, _: under_attack if attack else QUIET)
    assert hostile.main() == status
