"""check's facts about the ways into pods, and about noexec folders."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.rig.cgroup import Cgroup, cgroup_root
from bench.rig.netns import fresh_netns
from bench.rig.pod import FakePod
from drainmon.facts.capabilities import Capability
from drainmon.facts.fact import Status
from drainmon.facts.ways_in import folder_in_pods, look_at_mounts, ways_in

ALL = frozenset(Capability)
UID = "1b5c81bc-6dce-4cf0-aef1-f92948380bdb"


def test_pods_that_cannot_run_the_client_are_named() -> None:
    said = folder_in_pods(ALL, lambda: {"web/b": True, "web/a": True, "web/c": False})
    assert (said.status, said.found) == (Status.DEGRADED, "3 have it, noexec in web/a, web/b")
    said = folder_in_pods(ALL, lambda: {f"web/{number}": True for number in range(7)})
    assert said.found.endswith(" web/3, web/4 and 2 more")


def test_pods_that_can_run_the_client_are_ok() -> None:
    no_pods: dict[str, bool] = {}
    for mounts in (no_pods, {"web/a": False}):
        said = folder_in_pods(ALL, mounts.copy)
        assert (said.status, said.advice) == (Status.OK, "")


def test_without_capabilities_the_folder_in_pods_is_unknown() -> None:
    assert folder_in_pods(frozenset(), lambda: {}).status == Status.UNKNOWN


def pods(*ways: list[str]) -> dict[str, Any]:
    return {"pods": [{"pod": f"web/web-{n}", "ways_in": way} for n, way in enumerate(ways)]}


@pytest.mark.parametrize(
    ("answer", "status", "found"),
    [
        (pods(), Status.OK, "0 pods: folder 0"),
        (pods(["folder"]), Status.OK, "1 pod: folder 1"),
        (
            pods(["@drainmon"], ["folder (noexec)", "@drainmon"], ["folder", "port 9936"]),
            Status.OK,
            "3 pods: @drainmon 2, folder 2 (1 noexec: web/web-1), port 9936 1",
        ),
        (pods(["folder"], []), Status.DEGRADED, "2 pods: folder 1; none: web/web-1"),
        ({"pods": [{"pod": "web/web-1"}]}, Status.UNKNOWN, "not in the daemon's answer"),
        ({}, Status.UNKNOWN, "not in the daemon's answer"),
        ([], Status.UNKNOWN, "not in the daemon's answer"),
    ],
)
def test_the_ways_in_of_the_running_daemon_are_reported(
    answer: Any, status: Status, found: str
) -> None:
    said = ways_in(lambda resource: answer if resource == "/v1/pods" else {})
    assert (said.status, said.found) == (status, found)


def test_a_refused_request_for_ways_in_is_unknown() -> None:
    def refuse(_: str) -> Mapping[str, Any]:
        raise OSError("cannot ask the daemon at /x: only root of the host may see all pods")

    said = ways_in(refuse)
    assert said.status == Status.UNKNOWN
    assert "only root of the host" in said.found


@pytest.mark.root
def test_a_pod_with_a_noexec_mount_is_found(tmp_path: Path) -> None:
    folder, logs = tmp_path / "run", tmp_path / "logs"
    folder.mkdir()
    (logs / f"web_web-1_{UID}").mkdir(parents=True)
    names = frozenset({"nginx"})
    with cgroup_root() as root, fresh_netns("drainmon-client") as here:
        cgroup = Cgroup(f"{root}/kubepods/pod{UID}/{'0' * 64}")
        with FakePod(here, cgroup=cgroup) as pod, FakePod(here) as service:
            found = look_at_mounts(folder, names, logs)
            assert found["web/web-1"] is False
            assert f"netns-{service.netns.inode}" not in found
            mount = f"mount --bind {folder} {folder}; mount -o remount,bind,noexec {folder}"
            enter = ["nsenter", f"--target={pod.master_pid}", "--mount", "sh", "-ec", mount]
            subprocess.run(enter, check=True)
            assert look_at_mounts(folder, names, logs)["web/web-1"] is True
            program = Path(sys.executable).with_name("drainmon")
            argv = [str(program), "check", f"--socket={folder / 's'}", f"--pod-logs={logs}"]
            done = subprocess.run(argv, check=False, capture_output=True, text=True)
            line = r"^  degraded  folder in pods +\d+ have it, noexec in (.*, )?web/web-1; "
            assert re.search(line, done.stdout, re.MULTILINE), done.stdout
