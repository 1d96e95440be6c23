"""Reads sockets of any kind in a netns from /proc/<pid>/net.

Formats: proc_pid_net(5); unix_seq_show in net/unix/af_unix.c, udp4_seq_show in net/ipv4/udp.c,
netlink_native_seq_show in net/netlink/af_netlink.c and packet_seq_show in net/packet/af_packet.c
of the kernel.
"""

from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path

from drainmon.procfs.process import PROC

_INODE_COLUMNS = {
    "unix": 6, "udp": 9, "udp6": 9, "udplite": 9, "udplite6": 9, "raw": 9, "raw6": 9, "icmp": 9,
    "icmp6": 9, "netlink": 9, "packet": 8, "tcp": 9, "tcp6": 9,
}  # fmt: skip
"""The column of the inode; short tables, and those with most of nginx's sockets, first."""

EPHEMERAL = range(32768, 61000)
"""The kernel's default; a namespace may have another range."""

NAMED = 20
"""Sockets that cannot be counted and are named, at most."""

SUN_PATH = 108
"""Bytes of a unix socket's path with its final zero, or of @ and an abstract name; unix(7)."""

_ACCEPTS = 0x10000  # __SO_ACCEPTCON of linux/net.h, in a unix socket's flags
_CONNECTED = "03"  # SS_CONNECTED of linux/net.h, of a unix socket
_UDP_OPEN = "07"  # the state of a UDP socket that has no peer


def _rows(pid: int, table: str, root: Path) -> Iterator[list[str]]:
    """The columns of each row after the header; empty where the kernel lacks the table."""
    with suppress(FileNotFoundError):
        text = (root / str(pid) / "net" / table).read_text(errors="replace")
        yield from (line.split() for line in text.splitlines()[1:])


def not_in(sockets: Set[int], pid: int, root: Path = PROC) -> set[int]:
    """The sockets (inodes) that are in no table of the process's netns. Raises OSError when it has
    ended."""
    (root / str(pid) / "net" / "unix").stat()
    left = set(sockets)
    for table, column in _INODE_COLUMNS.items():
        if not left:
            break
        for row in _rows(pid, table, root):
            if len(row) > column and row[column].isdigit():
                left.discard(int(row[column]))
    return left


def uncountable(
    pid: int, held: Set[int], quitting: Set[int] = frozenset(), root: Path = PROC
) -> list[str]:
    """The served addresses whose clients are in no TCP table: `unix /run/web.sock`, `udp 8053`; at
    most NAMED, and the number of the others. `held` are inodes of masters' sockets, `quitting` of
    quitting workers': their accepted unix sockets have the listener's path, and they still serve
    UDP. Raises OSError when the process has ended."""
    found = set()
    for row in _rows(pid, "unix", root):
        # An abstract name begins with @; a socket without a name has no eighth column.
        if len(row) >= 8 and row[6].isdigit():
            with suppress(ValueError):
                listens = int(row[3], 16) & _ACCEPTS and int(row[6]) in held
                if listens or (row[5] == _CONNECTED and int(row[6]) in quitting):
                    found.add(f"unix {' '.join(row[7:])[:SUN_PATH]}")
    found |= {f"udp {port}" for port in udp_listeners(pid, held | quitting, root)}
    names = sorted(found)
    more = len(names) - NAMED
    return [*names[:NAMED], f"{more} more"] if more > 0 else names


def udp_listeners(pid: int, held: Set[int], root: Path = PROC) -> set[int]:
    """The ports of UDP sockets among `held` (inodes) that are not connected to a peer. Raises
    OSError when the process has ended."""
    found = set()
    for table in ("udp", "udp6"):
        for row in _rows(pid, table, root):
            if len(row) > 9 and row[3] == _UDP_OPEN and row[9].isdigit() and int(row[9]) in held:
                with suppress(ValueError):
                    found.add(int(row[1].rpartition(":")[2], 16))
    return found


def ephemeral_ports(root: Path = PROC) -> range:
    """The ephemeral ports of the calling thread's netns, which are visible only from inside."""
    with suppress(OSError, ValueError):
        first, last = map(int, (root / "sys/net/ipv4/ip_local_port_range").read_text().split())
        return range(first, last + 1)
    return EPHEMERAL
