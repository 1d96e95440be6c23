"""Each source's requirements, on hosts that meet them and on hosts that do not."""

from pathlib import Path

import pytest

from drainmon.facts import bcc, core, procfs
from drainmon.facts.fact import Status
from drainmon.kernel import netns
from tests.unit.fact_tree import OTHER, plant, process

BTF = "sys/kernel/btf/vmlinux"


def plant_btf(root: Path, *names: bytes) -> None:
    path = root / BTF
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x9f\xeb\x01\0" + b"\0".join((b"", *names, b"")))


def test_btf_with_iterators_is_ok(tmp_path: Path) -> None:
    plant_btf(tmp_path, b"btf_trace_inet_sock_set_state", b"bpf_iter_tcp", b"bpf_iter_bpf_map_elem")
    assert {said.status for said in core.btf(tmp_path)} == {Status.OK}


def test_btf_without_iterators_is_reported(tmp_path: Path) -> None:
    plant_btf(tmp_path, b"btf_trace_inet_sock_set_state", b"bpf_iter_tcp_seq_ops")
    said = {said.name: said.status for said in core.btf(tmp_path)}
    assert said == {
        "BTF": Status.OK,
        "tracepoint": Status.OK,
        "iter/tcp": Status.MISSING,
        "iter/bpf_map_elem": Status.MISSING,
    }


@pytest.mark.parametrize("content", [None, b"", b"\x7fELF"])
def test_missing_btf_is_reported(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        plant_btf(tmp_path)
        (tmp_path / BTF).write_bytes(content)
    (said,) = core.btf(tmp_path)
    assert said.status == Status.MISSING


def test_missing_programs_are_reported(tmp_path: Path) -> None:
    assert core.object_file(tmp_path / "x.bpf.o").advice == "make build"


def test_a_wrong_bcc_package_is_reported(tmp_path: Path) -> None:
    plant(tmp_path, {"debian/bcc/libbcc.py": "", "pypi/bcc/__init__.py": ""})
    assert bcc.package(tmp_path / "debian/bcc").status == Status.OK
    unrelated = bcc.package(tmp_path / "pypi/bcc")
    assert unrelated.status == Status.MISSING
    assert "pip uninstall bcc; install Debian's python3-bpfcc" in unrelated.advice
    assert bcc.package(None).status == Status.MISSING


def test_libbcc_is_found_on_every_architecture(tmp_path: Path) -> None:
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
            "tracefs is not mounted; the daemon mounts it in a mount namespace of its own",
        ),
        ([], Status.MISSING, "the kernel has no tracefs"),
    ],
)
def test_the_tracepoint_is_found(
    tmp_path: Path, files: list[str], status: Status, found: str
) -> None:
    plant(tmp_path, dict.fromkeys(files, "nodev\tproc\nnodev\ttracefs\n"))
    said = bcc.tracepoint(tmp_path)
    assert said.status == status
    assert found in said.found


HEADERS = "include/generated/autoconf.h"


@pytest.mark.parametrize(
    ("folder", "variable", "status", "found"),
    [
        ("lib/modules/4.18.0/build", "", Status.OK, "/lib/modules/4.18.0/build"),
        ("opt/headers", "/opt/headers", Status.OK, "/opt/headers (BCC_KERNEL_SOURCE)"),
        ("lib/modules/4.18.0/build", "/opt/headers", Status.MISSING, "none in /opt/headers"),
        ("usr/src/linux-headers-6.1-amd64", "", Status.OK, "linux-headers-6.1-amd64, of another"),
        ("usr/src/kernels/4.18.0-553", "", Status.OK, "of another kernel"),
        ("lib/modules/5.4.0/build", "", Status.MISSING, "none in /lib/modules/4.18.0/build"),
    ],
)
def test_kernel_headers_are_found(
    tmp_path: Path, folder: str, variable: str, status: Status, found: str
) -> None:
    plant(tmp_path, {f"{folder}/{HEADERS}": "", "usr/src/linux-headers-9-common/Makefile": ""})
    said = bcc.headers(tmp_path, "4.18.0", {"BCC_KERNEL_SOURCE": variable})
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
def test_missing_network_tables_are_reported(
    tmp_path: Path, tables: tuple[str, ...], status: Status
) -> None:
    process(tmp_path, OTHER)
    plant(tmp_path, {f"proc/{OTHER}/net/{table}": "head\n" for table in tables})
    assert procfs.tables(tmp_path).status == status


@pytest.mark.root
def test_a_refused_sock_diag_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert procfs.sock_diag().status is Status.OK

    def refused(*_: object) -> None:
        raise PermissionError(1, "cannot enter the network namespace")

    monkeypatch.setattr(netns, "enter", refused)
    fact = procfs.sock_diag()
    assert (fact.status, fact.found) == (
        Status.DEGRADED,
        "reads tables: cannot enter the network namespace",
    )
