"""The client's code that identifies nginx's processes and sockets, by ctypes: calls into
shim_nginx.c."""

import ctypes
from collections.abc import Collection, Sequence
from pathlib import Path

from tests.client.library import Library

ROLES = ("none", "master", "worker", "quitting", "helper")
LIVES = ("lives", "gone", "cut")
PORTS = 65536


class NginxLibrary(Library):
    """Input is guarded as in the base class."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._shim.shim_namespace.restype = ctypes.c_uint64
        self._shim.shim_inode.restype = ctypes.c_uint64

    def namespace(self, data: bytes) -> int:
        return int(self._shim.shim_namespace(*self._bytes(data)))

    def role(self, title: bytes) -> str:
        return ROLES[self._shim.shim_role(*self._bytes(title))]

    def inode(self, line: bytes, word: int) -> int:
        return int(self._shim.shim_inode(*self._bytes(line), word))

    def unix_listens(self, line: bytes) -> str | None:
        """The path of a listening unix socket."""
        size = self._shim.shim_unix_listens(*self._bytes(line), *self._output())
        return self._out.value.decode() if size >= 0 else None

    def port_range(self, data: bytes) -> tuple[int, int]:
        bounds = (ctypes.c_uint * 2)()
        self._shim.shim_port_range(*self._bytes(data), bounds)
        return bounds[0], bounds[1]

    def choose(self, ports: Sequence[int], first: int, last: int, *, any_port: bool) -> set[int]:
        """Which of the connections' local ports nginx must have listened on."""
        counts, chosen = (ctypes.c_uint8 * PORTS)(), (ctypes.c_uint8 * PORTS)()
        for port in ports:
            counts[port] += 1
        self._shim.shim_choose(counts, first, last, any_port, chosen)
        return {port for port in range(PORTS) if chosen[port]}

    def life(
        self, roles: Collection[str], in_flight: int, *, exit_at: int = 0, first: bool = False
    ) -> str:
        numbers = bytes(ROLES.index(role) for role in roles)
        i64 = ctypes.c_uint64
        looked = self._shim.shim_life(numbers, len(roles), i64(in_flight), i64(exit_at), first)
        return LIVES[looked]

    def holders(self, count: int) -> int:
        """How many of `count` sockets do not fit; the others must be found."""
        lost = int(self._shim.shim_holders(count))
        assert lost >= 0
        return lost

    def cgroup(self, text: bytes, *, v2: bool) -> str | None:
        """The path in the text of /proc/<pid>/cgroup."""
        size = self._shim.shim_cgroup(*self._bytes(text), v2, *self._output())
        return self._out.value.decode() if size >= 0 else None

    def vanished(
        self, now: int, came: int, went: int, *, answers: bool, limit: int, first: bool = False
    ) -> bool:
        """Whether UDP clients have vanished, by the datagrams that came and went until now."""
        i64, u64 = ctypes.c_int64, ctypes.c_uint64
        looked = self._shim.shim_vanished(
            i64(now), u64(came), u64(went), answers, i64(limit), first
        )
        return bool(looked)
