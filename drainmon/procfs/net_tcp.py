"""Listening sockets from /proc/<pid>/net/tcp and tcp6.

Format: Documentation/networking/proc_net_tcp.rst of the kernel. Listeners come
before every other socket, so that reading stops at the first row that is none:
the cost does not grow with the number of connections.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

_LISTEN = b"0A"


def parse_listeners(rows: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    """(socket inode, local port) of each leading LISTEN row; the header row comes first.

    A row that cannot be read (torn, not of this format) is passed over.
    """
    for number, row in enumerate(rows):
        fields = row.split()
        if number == 0 or len(fields) < 10:
            continue
        if fields[3] != _LISTEN:
            return
        _, _, port = fields[1].rpartition(b":")
        try:
            yield int(fields[9]), int(port, 16)
        except ValueError:
            continue


def listeners(pid: int, root: Path = Path("/proc")) -> dict[int, int]:
    """Local port by socket inode of every listener in the netns of `pid`, IPv4 and IPv6.

    Raises OSError when the process is gone.
    """
    ports: dict[int, int] = {}
    for name in ("tcp", "tcp6"):
        try:
            with (root / str(pid) / "net" / name).open("rb") as file:
                ports.update(parse_listeners(file))
        except FileNotFoundError:
            if name == "tcp":  # a kernel without IPv6 has no tcp6
                raise
    return ports
