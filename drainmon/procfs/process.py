"""Reads /proc/<pid>: a process's namespaces, sockets and cgroups.

Every function raises OSError when the process has ended or may not be read. Some are called for
every connection and every line of an answer, and therefore do not make Path objects."""

# ruff: noqa: PTH115, PTH116, PTH123, PTH208

import errno
import os
import re
import stat
from pathlib import Path

PROC = Path("/proc")

_SOCKET = re.compile(r"socket:\[(\d+)\]")
_OWN_MEMORY = re.compile(rb"^RssAnon:\s+(\d+) kB$", re.MULTILINE)


def _read(pid: int | str, name: str, root: Path) -> bytes:
    with open(f"{root}/{pid}/{name}", "rb", buffering=0) as file:
        return file.read()


def netns_inode(pid: int | str = "self", root: Path = PROC) -> int:
    """The inode of the process's network namespace."""
    return namespace_inode(pid, "net", root)


def namespace_inode(pid: int | str, kind: str, root: Path = PROC) -> int:
    """The inode of the process's namespace of a kind in /proc/<pid>/ns: net, user, ..."""
    path = f"{root}/{pid}/ns/{kind}"
    return _namespace(os.stat(path), path).st_ino


def _namespace(found: os.stat_result, path: str) -> os.stat_result:
    """What was found, unless it is the link's folder: stable releases of 5.10 lead there, where
    others refuse. Raises PermissionError."""
    if stat.S_ISDIR(found.st_mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return found


def open_netns(pid: int, root: Path = PROC) -> int:
    """A descriptor of the process's network namespace, for setns(2); keeps it alive."""
    path = f"{root}/{pid}/ns/net"
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _namespace(os.fstat(fd), path)
    except PermissionError:
        os.close(fd)
        raise
    return fd


COMM = 15
"""Characters of a process's name that the kernel keeps (TASK_COMM_LEN of linux/sched.h)."""


def name(pid: int, root: Path = PROC) -> str:
    """The process's name, cut to COMM characters."""
    return _read(pid, "comm", root).decode(errors="replace").removesuffix("\n")


def start_time(pid: int, root: Path = PROC) -> int:
    """When the process started, in clock ticks since boot; with the pid it identifies a process."""
    stat = _read(pid, "stat", root)
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def parent(pid: int, root: Path = PROC) -> int:
    """The pid of the process's parent."""
    stat = _read(pid, "stat", root)
    return int(stat[stat.rindex(b")") + 2 :].split()[1])


def lives(pid: int, started: int, root: Path = PROC) -> bool:
    """Whether the process that began at `started` is visible and has not ended; a zombie has."""
    try:
        stat = _read(pid, "stat", root)
    except OSError:
        return False
    fields = stat[stat.rindex(b")") + 2 :].split()
    return int(fields[19]) == started and fields[0] not in (b"Z", b"X")


def cpu_time(pid: int, root: Path = PROC) -> int:
    """The CPU time of the process, user and system, in clock ticks."""
    stat = _read(pid, "stat", root)
    user, system = stat[stat.rindex(b")") + 2 :].split()[11:13]
    return int(user) + int(system)


def own_memory(pid: int, root: Path = PROC) -> int:
    """The anonymous memory in use, in bytes: heap and stack. Memory shared by a fork counts in both
    processes. 0 on kernels before 4.5, which do not report it."""
    match = _OWN_MEMORY.search(_read(pid, "status", root))
    return int(match[1]) * 1024 if match else 0


def children(pid: int, root: Path = PROC) -> list[int]:
    """The pids of the children of the process's first thread. Raises FileNotFoundError also where
    the kernel has no such list (CONFIG_PROC_CHILDREN)."""
    return [int(child) for child in _read(pid, f"task/{pid}/children", root).split()]


def title(pid: int, root: Path = PROC) -> str:
    """The process's title, its first argument; nginx's names the part that it is."""
    line = _read(pid, "cmdline", root)
    return line.split(b"\0", 1)[0].decode(errors="replace")


def socket_inodes(pid: int, root: Path = PROC) -> set[int]:
    """The inodes of the sockets that the process holds open."""
    inodes = set()
    folder = f"{root}/{pid}/fd"
    for fd in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{fd}")
        except FileNotFoundError:  # closed since the folder was read
            continue
        if match := _SOCKET.fullmatch(target):
            inodes.add(int(match[1]))
    return inodes


def udp_statistics(pid: int, root: Path = PROC) -> tuple[bytes, bytes]:
    """The texts of net/snmp and net/snmp6; the latter is empty without IPv6."""
    snmp = _read(pid, "net/snmp", root)
    try:
        return snmp, _read(pid, "net/snmp6", root)
    except FileNotFoundError:
        return snmp, b""


def cgroup(pid: int | str = "self", root: Path = PROC) -> str:
    """The text of the process's cgroup file, with paths from the daemon's view; empty where the
    kernel has no cgroups. Bytes that are not text are escaped."""
    try:
        return _read(pid, "cgroup", root).decode(errors="backslashreplace")
    except FileNotFoundError:
        _read(pid, "stat", root)
        return ""
