"""The verdict on hosts of every kind, and the facts about the host itself."""

import os
from pathlib import Path
from typing import Any

import pytest

from drainmon.facts import capabilities, host, procfs, serving
from drainmon.facts.capabilities import Capability
from drainmon.facts.fact import Fact, Group, Status, judge
from tests.unit.fact_tree import OTHER, link, plant, process

ALL = frozenset(Capability)


def fact(group: Group, status: Status) -> Fact:
    return Fact(group, "x", status, "y")


@pytest.mark.parametrize(
    ("facts", "source", "exit_code"),
    [
        ([], "core", 0),
        ([fact(Group.CORE, Status.UNKNOWN)], "core", 0),
        ([fact(Group.SERVING, Status.NOTE)], "core", 0),
        ([fact(Group.BCC, Status.MISSING), fact(Group.PROCFS, Status.DEGRADED)], "core", 0),
        ([fact(Group.SERVING, Status.DEGRADED)], "core", 1),
        ([fact(Group.HOST, Status.DEGRADED)], "core", 1),
        ([fact(Group.CORE, Status.MISSING)], "bcc", 1),
        ([fact(Group.CORE, Status.MISSING), fact(Group.BCC, Status.MISSING)], "procfs", 1),
        ([fact(source, Status.MISSING) for source in Group], None, 2),
        ([fact(Group.HOST, Status.MISSING)], None, 2),
        ([fact(Group.SERVING, Status.MISSING)], None, 2),
    ],
)
def test_the_verdict_follows_from_the_facts(
    facts: list[Fact], source: str | None, exit_code: int
) -> None:
    verdict = judge(facts)
    assert (verdict.source, verdict.exit_code) == (source, exit_code)
    poor = {Status.MISSING, Status.DEGRADED} & {fact.status for fact in verdict.facts}
    assert verdict.degraded == bool(poor) == bool(exit_code)


def test_a_gap_of_an_unused_source_is_a_note() -> None:
    facts = [fact(source, Status.MISSING) for source in (Group.CORE, Group.PROCFS)]
    assert [one.status for one in judge(facts).facts] == [Status.MISSING, Status.NOTE]


@pytest.mark.parametrize(
    ("status", "caps"),
    [
        ("Name:\tx\nCapEff:\t000001ffffffffff\n", ALL),
        ("CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n", frozenset()),
        ("CapEff:\t0000000000200020\n", {Capability.SYS_ADMIN, Capability.KILL}),
        ("", frozenset()),
    ],
)
def test_effective_capabilities_are_parsed(status: str, caps: frozenset[Capability]) -> None:
    assert capabilities.parse_effective(status) == caps


@pytest.mark.parametrize(
    ("caps", "trace", "enter"),
    [
        (ALL, Status.OK, Status.OK),
        (frozenset({Capability.SYS_ADMIN}), Status.OK, Status.OK),
        (frozenset({Capability.BPF, Capability.PERFMON}), Status.OK, Status.MISSING),
        (frozenset({Capability.BPF}), Status.MISSING, Status.MISSING),
    ],
)
def test_capabilities_decide_what_the_daemon_may_do(
    caps: frozenset[Capability], trace: Status, enter: Status
) -> None:
    assert capabilities.to_trace(Group.CORE, caps).status == trace
    assert capabilities.to_trace(Group.BCC, caps).status == enter  # both take SYS_ADMIN
    assert capabilities.to_enter(caps).status == enter


@pytest.mark.parametrize("lacking", list(capabilities.NEEDED))
def test_a_missing_capability_is_named(lacking: Capability) -> None:
    assert capabilities.held(ALL).status == Status.OK
    said = capabilities.held(ALL - {lacking})
    assert said.status == Status.DEGRADED
    assert said.found.endswith(f"; missing: {lacking.name}")
    assert said.advice.startswith(f"without {lacking.name} it cannot ")


@pytest.mark.parametrize(
    ("namespace", "first", "status", "found"),
    [
        ("pid:[4026531836]", "x", Status.OK, "the host's"),
        ("pid:[4026532201]", "systemd", Status.OK, "that of a node: pid 1 is systemd"),
        ("pid:[4026532201]", "k3s-server", Status.OK, "that of a node: pid 1 is k3s-server"),
        ("pid:[4026532201]", "drainmon", Status.DEGRADED, "a container's own: pid 1 is drainmon"),
        ("nonsense", "nginx", Status.DEGRADED, "a container's own: pid 1 is nginx"),
    ],
)
def test_the_hosts_pid_namespace_is_recognized(
    tmp_path: Path, namespace: str, first: str, status: Status, found: str
) -> None:
    link(tmp_path, "proc/self/ns/pid", namespace)
    plant(tmp_path, {"proc/1/comm": f"{first}\n"})
    said = host.pid_namespace(tmp_path)
    assert (said.status, said.found) == (status, found)


def test_a_host_without_proc_is_reported(tmp_path: Path) -> None:
    assert host.kernel(tmp_path).status == Status.MISSING
    assert host.pid_namespace(tmp_path).status == Status.UNKNOWN
    assert host.cgroups(tmp_path).status == Status.DEGRADED
    assert procfs.tables(tmp_path).status == Status.MISSING
    assert serving.file_system(tmp_path, Path("/x/y")).status == Status.UNKNOWN


def test_the_kernel_fact_matches_uname() -> None:
    assert host.kernel(Path("/")).found == f"Linux {os.uname().release} {os.uname().machine}"


class Refuse:
    """Stands in for the kernel's refusal, which root does not get in a tree of files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *pids: int) -> None:
        self._scandir = os.scandir
        self._pids = {str(pid) for pid in pids}
        monkeypatch.setattr(os, "scandir", self)

    def __call__(self, path: Any) -> Any:
        if Path(path).parent.name in self._pids:
            raise PermissionError(13, "Permission denied")
        return self._scandir(path)


@pytest.mark.parametrize(
    ("refused", "caps", "status"),
    [
        ((), ALL, Status.OK),
        ((), frozenset(), Status.OK),
        ((OTHER,), ALL, Status.OK),
        ((OTHER,), frozenset(), Status.DEGRADED),
        ((OTHER, OTHER + 1), frozenset(), Status.MISSING),
        ((OTHER + 1,), ALL - {Capability.DAC_READ_SEARCH}, Status.DEGRADED),
        ((OTHER, OTHER + 1, OTHER + 2), ALL, Status.DEGRADED),
    ],
)
def test_hidden_processes_are_counted_with_the_missing_capabilities(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: tuple[int, ...],
    caps: frozenset[Capability],
    status: Status,
) -> None:
    for pid in (OTHER, OTHER + 1, OTHER + 2):
        process(tmp_path, pid)
    plant(tmp_path, {f"proc/{OTHER + 1}/comm": "nginx\n"})
    process(tmp_path, 2, command="")  # a kernel thread
    process(tmp_path, os.getpid())
    Refuse(monkeypatch, *refused)
    said = host.processes(tmp_path, caps, frozenset({"nginx"}))
    assert said.status == status
    assert said.found.startswith(f"can look into {3 - len(refused)} of 3")
    lacking = [cap for cap in capabilities.TO_SEE if refused and cap not in caps]
    assert (f"missing {capabilities.named(lacking)}: " in said.advice) == bool(lacking)


@pytest.mark.parametrize(
    ("caps", "status"),
    [(ALL, Status.DEGRADED), (ALL - {Capability.SYS_PTRACE}, Status.MISSING)],
)
def test_a_security_module_on_a_node_without_nginx_yet(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caps: frozenset[Capability],
    status: Status,
) -> None:
    for pid in (OTHER, OTHER + 1):
        process(tmp_path, pid)
    Refuse(monkeypatch, OTHER, OTHER + 1)
    said = host.processes(tmp_path, caps, frozenset({"nginx"}))
    assert (said.status, said.found) == (
        status,
        "can look into 0 of 2, 0 of 0 processes of nginx",
    )


def test_a_process_that_ends_meanwhile_does_not_count(tmp_path: Path) -> None:
    process(tmp_path, OTHER)
    plant(tmp_path, {f"proc/{OTHER + 1}/cmdline": "gone"})
    assert host.processes(tmp_path, ALL, frozenset()).found == "can look into 1 of 1"


V1 = "9:name=systemd:/\n8:pids:/\n4:memory:/\n1:cpu,cpuacct:/\n"


@pytest.mark.parametrize(
    ("text", "layout"),
    [("0::/\n", "v2"), (V1, "v1"), (V1 + "0::/system.slice\n", "hybrid"), ("", ""), ("x", "")],
)
def test_the_cgroup_layout_is_recognized(text: str, layout: str) -> None:
    assert host.parse_layout(text) == layout


@pytest.mark.parametrize(
    ("text", "folder", "found"),
    [
        ("0::/\n", "kubepods.slice", "v2, kubelet with the systemd driver"),
        ("0::/\n", "kubepods", "v2, kubelet with the cgroupfs driver"),
        ("0::/\n", "kubelet.slice/kubelet-kubepods.slice", "v2, kubelet with the systemd driver"),
        ("0::/\n", "kubelet/kubepods", "v2, kubelet with the cgroupfs driver"),
        (V1, "memory/kubepods", "v1, kubelet with the cgroupfs driver"),
        (V1, "systemd/kubepods.slice", "v1, kubelet with the systemd driver"),
        (V1 + "0::/\n", "pids/kubelet/kubepods", "hybrid, kubelet with the cgroupfs driver"),
        ("0::/\n", "system.slice/docker.service", "v2, no kubelet's folders visible"),
    ],
)
def test_the_cgroup_fact_names_layout_and_mount(
    tmp_path: Path, text: str, folder: str, found: str
) -> None:
    plant(tmp_path, {"proc/self/cgroup": text})
    (tmp_path / "sys/fs/cgroup" / folder).mkdir(parents=True)
    said = host.cgroups(tmp_path)
    assert (said.status, said.found) == (Status.OK, found)
