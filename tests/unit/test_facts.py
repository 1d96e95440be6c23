"""What the facts say of hosts of every kind, each a tree of files."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from drainmon.facts import bcc, capabilities, core, host, procfs, serving
from drainmon.facts.capabilities import Capability
from drainmon.facts.fact import Fact, Group, Status, Verdict, judge

ALL = frozenset(Capability)
OTHER = 7_000_000  # no pid is that high


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def link(root: Path, name: str, target: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def fact(group: Group, status: Status) -> Fact:
    return Fact(group, "x", status, "y")


@pytest.mark.parametrize(
    ("facts", "verdict", "exit_code"),
    [
        ([], Verdict("core", False), 0),
        ([fact(Group.CORE, Status.UNKNOWN)], Verdict("core", False), 0),
        ([fact(Group.BCC, Status.MISSING)], Verdict("core", False), 0),
        ([fact(Group.SERVING, Status.DEGRADED)], Verdict("core", False), 0),
        ([fact(Group.HOST, Status.DEGRADED)], Verdict("core", True), 1),
        ([fact(Group.CORE, Status.MISSING)], Verdict("bcc", True), 1),
        (
            [fact(Group.CORE, Status.MISSING), fact(Group.BCC, Status.MISSING)],
            Verdict("procfs", True),
            1,
        ),
        ([fact(source, Status.MISSING) for source in Group], Verdict(None, True), 2),
        ([fact(Group.HOST, Status.MISSING)], Verdict(None, True), 2),
        ([fact(Group.SERVING, Status.MISSING)], Verdict(None, True), 2),
    ],
)
def test_verdict(facts: list[Fact], verdict: Verdict, exit_code: int) -> None:
    assert judge(facts) == verdict
    assert verdict.exit_code == exit_code


@pytest.mark.parametrize(
    ("status", "caps"),
    [
        ("Name:\tx\nCapEff:\t000001ffffffffff\n", ALL),
        ("CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n", frozenset()),
        ("CapEff:\t0000000000200020\n", {Capability.SYS_ADMIN, Capability.KILL}),
        ("", frozenset()),
    ],
)
def test_effective_capabilities(status: str, caps: frozenset[Capability]) -> None:
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
def test_what_capabilities_allow(caps: frozenset[Capability], trace: Status, enter: Status) -> None:
    assert capabilities.to_trace(Group.CORE, caps).status == trace
    assert capabilities.to_trace(Group.BCC, caps).status == enter  # both take SYS_ADMIN
    assert capabilities.to_enter(caps).status == enter


def test_without_kill_drains_cannot_roll() -> None:
    assert capabilities.held(ALL).status == Status.OK
    assert capabilities.held(ALL - {Capability.KILL}).status == Status.DEGRADED


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
def test_pid_namespace(
    tmp_path: Path, namespace: str, first: str, status: Status, found: str
) -> None:
    link(tmp_path, "proc/self/ns/pid", namespace)
    plant(tmp_path, {"proc/1/comm": f"{first}\n"})
    said = host.pid_namespace(tmp_path)
    assert (said.status, said.found) == (status, found)


def test_no_proc(tmp_path: Path) -> None:
    assert host.kernel(tmp_path).status == Status.MISSING
    assert host.pid_namespace(tmp_path).status == Status.UNKNOWN
    assert host.cgroups(tmp_path).status == Status.DEGRADED
    assert procfs.tables(tmp_path).status == Status.MISSING
    assert serving.file_system(tmp_path, Path("/x/y")).status == Status.UNKNOWN


def test_this_host_is_the_one_that_uname_knows() -> None:
    assert host.kernel(Path("/")).found == f"Linux {os.uname().release} {os.uname().machine}"


def process(root: Path, pid: int, command: str = "nginx") -> Path:
    plant(root, {f"proc/{pid}/cmdline": command})
    link(root, f"proc/{pid}/ns/net", "net:[4026531840]")
    folder = root / "proc" / str(pid)
    (folder / "fd").mkdir()
    return folder


class Refuse:
    """Stands in for the kernel's refusal, which root would not meet in a tree of files."""

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
        ((OTHER,), frozenset(), Status.MISSING),
        ((OTHER, OTHER + 1, OTHER + 2), ALL, Status.MISSING),
    ],
)
def test_seeing_into_processes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: tuple[int, ...],
    caps: frozenset[Capability],
    status: Status,
) -> None:
    for pid in (OTHER, OTHER + 1, OTHER + 2):
        process(tmp_path, pid)
    process(tmp_path, 2, command="")  # a kernel thread
    process(tmp_path, os.getpid())
    Refuse(monkeypatch, *refused)
    said = host.processes(tmp_path, caps)
    assert said.status == status
    assert said.found == f"can look into {3 - len(refused)} of 3"


def test_a_process_that_ends_meanwhile_counts_for_nothing(tmp_path: Path) -> None:
    process(tmp_path, OTHER)
    plant(tmp_path, {f"proc/{OTHER + 1}/cmdline": "gone"})
    assert host.processes(tmp_path, ALL).found == "can look into 1 of 1"


V1 = "9:name=systemd:/\n8:pids:/\n4:memory:/\n1:cpu,cpuacct:/\n"


@pytest.mark.parametrize(
    ("text", "layout"),
    [("0::/\n", "v2"), (V1, "v1"), (V1 + "0::/system.slice\n", "hybrid"), ("", ""), ("x", "")],
)
def test_cgroup_layout(text: str, layout: str) -> None:
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
        ("0::/\n", "system.slice/docker.service", "v2, no kubelet's folders in sight"),
    ],
)
def test_cgroups(tmp_path: Path, text: str, folder: str, found: str) -> None:
    plant(tmp_path, {"proc/self/cgroup": text})
    (tmp_path / "sys/fs/cgroup" / folder).mkdir(parents=True)
    said = host.cgroups(tmp_path)
    assert (said.status, said.found) == (Status.OK, found)


BTF = "sys/kernel/btf/vmlinux"


def plant_btf(root: Path, *names: bytes) -> None:
    path = root / BTF
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x9f\xeb\x01\0" + b"\0".join((b"", *names, b"")))


def test_btf_of_a_kernel_with_iterators(tmp_path: Path) -> None:
    plant_btf(tmp_path, b"btf_trace_inet_sock_set_state", b"bpf_iter_tcp")
    assert {said.status for said in core.btf(tmp_path)} == {Status.OK}


def test_btf_of_a_kernel_without_iterators(tmp_path: Path) -> None:
    plant_btf(tmp_path, b"btf_trace_inet_sock_set_state", b"bpf_iter_tcp_seq_ops")
    said = {said.name: said.status for said in core.btf(tmp_path)}
    assert said == {"BTF": Status.OK, "tracepoint": Status.OK, "iter/tcp": Status.MISSING}


@pytest.mark.parametrize("content", [None, b"", b"\x7fELF"])
def test_no_btf(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        plant_btf(tmp_path)
        (tmp_path / BTF).write_bytes(content)
    (said,) = core.btf(tmp_path)
    assert said.status == Status.MISSING


def test_programs_that_are_not_built(tmp_path: Path) -> None:
    assert core.object_file(tmp_path / "x.bpf.o").advice == "make build"


def test_the_right_bcc_and_others(tmp_path: Path) -> None:
    plant(tmp_path, {"debian/bcc/libbcc.py": "", "pypi/bcc/__init__.py": ""})
    assert bcc.package(tmp_path / "debian/bcc").status == Status.OK
    unrelated = bcc.package(tmp_path / "pypi/bcc")
    assert unrelated.status == Status.MISSING
    assert "pip uninstall bcc; install Debian's python3-bpfcc" in unrelated.advice
    assert bcc.package(None).status == Status.MISSING


def test_libbcc(tmp_path: Path) -> None:
    assert bcc.library(tmp_path).status == Status.MISSING
    plant(tmp_path, {"usr/lib/aarch64-linux-gnu/libbcc.so.0": ""})
    assert bcc.library(tmp_path).found == "/usr/lib/aarch64-linux-gnu/libbcc.so.0"


@pytest.mark.parametrize(
    ("files", "status", "found"),
    [
        (["sys/kernel/tracing/" + bcc.TRACEPOINT], Status.OK, "/sys/kernel/tracing"),
        (["sys/kernel/debug/tracing/" + bcc.TRACEPOINT], Status.OK, "/sys/kernel/debug/tracing"),
        (["sys/kernel/tracing/events/tcp/x"], Status.MISSING, "has no sock/inet_sock_set_state"),
        (
            ["proc/filesystems"],
            Status.OK,
            "tracefs is not mounted; the daemon mounts it where nobody else sees it",
        ),
        ([], Status.MISSING, "the kernel has no tracefs"),
    ],
)
def test_tracepoint(tmp_path: Path, files: list[str], status: Status, found: str) -> None:
    plant(tmp_path, dict.fromkeys(files, "nodev\tproc\nnodev\ttracefs\n"))
    said = bcc.tracepoint(tmp_path)
    assert said.status == status
    assert found in said.found


HEADERS = "include/generated/autoconf.h"


@pytest.mark.parametrize(
    ("folder", "told", "status", "found"),
    [
        ("lib/modules/4.18.0/build", "", Status.OK, "/lib/modules/4.18.0/build"),
        ("opt/headers", "/opt/headers", Status.OK, "/opt/headers (BCC_KERNEL_SOURCE)"),
        ("lib/modules/4.18.0/build", "/opt/headers", Status.MISSING, "none in /opt/headers"),
        ("usr/src/linux-headers-6.1-amd64", "", Status.OK, "linux-headers-6.1-amd64, of another"),
        ("usr/src/kernels/4.18.0-553", "", Status.OK, "of another kernel"),
        ("lib/modules/5.4.0/build", "", Status.MISSING, "none in /lib/modules/4.18.0/build"),
    ],
)
def test_headers(tmp_path: Path, folder: str, told: str, status: Status, found: str) -> None:
    plant(tmp_path, {f"{folder}/{HEADERS}": "", "usr/src/linux-headers-9-common/Makefile": ""})
    said = bcc.headers(tmp_path, "4.18.0", {"BCC_KERNEL_SOURCE": told})
    assert said.status == status
    assert found in said.found


@pytest.mark.parametrize(
    ("tables", "status"),
    [
        (("tcp", "tcp6", "snmp"), Status.OK),
        (("tcp", "snmp"), Status.OK),
        (("tcp", "tcp6"), Status.MISSING),
        ((), Status.MISSING),
    ],
)
def test_network_tables(tmp_path: Path, tables: tuple[str, ...], status: Status) -> None:
    process(tmp_path, OTHER)
    plant(tmp_path, {f"proc/{OTHER}/net/{table}": "head\n" for table in tables})
    assert procfs.tables(tmp_path).status == status


def test_pod_logs(tmp_path: Path) -> None:
    assert serving.pod_logs(tmp_path / "none").status == Status.DEGRADED
    (tmp_path / "default_web-1_1b5c81bc-6dce-4cf0-aef1-f92948380bdb").mkdir()
    (tmp_path / "lost+found").mkdir()
    assert serving.pod_logs(tmp_path).found == f"{tmp_path}, 1 pods"


def test_socket_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = Path("/run/drainmon/drainmon.sock")
    assert serving.socket_folder(tmp_path, path).found == "/run/drainmon can be made"
    (tmp_path / "run/drainmon").mkdir()
    assert serving.socket_folder(tmp_path, path).found == "/run/drainmon"
    (tmp_path / "run/drainmon/drainmon.sock").write_text("")
    assert serving.socket_folder(tmp_path, path).status == Status.MISSING
    assert serving.socket_folder(tmp_path, path / "below").status == Status.MISSING
    long = serving.socket_folder(tmp_path, Path("/run") / ("x" * 103))
    assert (long.status, "longer than 107 bytes" in long.found) == (Status.MISSING, True)


def test_a_socket_of_the_longest_path_can_be_bound(tmp_path: Path) -> None:
    length = serving.LONGEST_PATH - len(str(tmp_path)) - 1
    for extra, status in ((0, Status.OK), (1, Status.MISSING)):
        path = tmp_path / ("x" * (length + extra))
        assert serving.socket_folder(Path("/"), path).status == status
        with socket.socket(socket.AF_UNIX) as listener:
            if extra:
                with pytest.raises(OSError, match="path too long"):
                    listener.bind(str(path))
            else:
                listener.bind(str(path))


MOUNTS = r"""
22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
25 28 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=10%
40 25 0:50 / /run/with\040space rw - tmpfs tmpfs rw
41 28 0:51 / /stack rw,noexec - ext4 /dev/sdb rw
42 41 0:52 / /stack rw - xfs /dev/sdc rw
torn
"""


@pytest.mark.parametrize(
    ("folder", "kind", "status"),
    [
        ("/run/drainmon", "tmpfs on /run is noexec", Status.DEGRADED),
        ("/running", "ext4 on /", Status.OK),
        ("/run/with space/x", "tmpfs on /run/with space", Status.OK),
        ("/stack", "xfs on /stack", Status.OK),
    ],
)
def test_file_system(tmp_path: Path, folder: str, kind: str, status: Status) -> None:
    plant(tmp_path, {"proc/self/mountinfo": MOUNTS})
    said = serving.file_system(tmp_path, Path(folder) / "drainmon.sock")
    assert (said.found, said.status) == (kind, status)


def test_daemon() -> None:
    def silent(_: Path) -> dict[str, object]:
        raise OSError("cannot ask the daemon at /x: timed out")

    said = serving.daemon(lambda _: {"version": "1.2", "source": "bcc"}, Path("/x"))
    assert (said.status, said.found) == (Status.OK, "version 1.2, source bcc")
    assert serving.daemon(silent, Path("/x")).found == "cannot ask the daemon at /x: timed out"
    other = serving.daemon(lambda _: {}, Path("/x"))
    assert (other.status, other.found) == (Status.DEGRADED, "something else answers at /x")
