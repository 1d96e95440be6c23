"""The interface of a source: where counts come from, whatever the host has."""

from collections.abc import Callable, Iterable
from typing import Protocol

from drainmon.model.ledger import Counts
from drainmon.model.snapshot import Snapshot


class Listeners(Protocol):
    """Whom a source tells; called in the event loop."""

    def listening(self, netns: int, port: int) -> None:
        """A port began to listen somewhere on the node."""

    def changed(self, netns: int) -> None:
        """Something changed on a watched port of the namespace."""


class Source(Protocol):
    """Counters of every listening port of the node (cheap), snapshots of one netns (exact), and
    wake-ups. Counts are of accepted connections. Methods raise OSError "cannot X: why" when the
    source no longer works."""

    name: str

    async def seed(self, netns_fds: Callable[[], Iterable[int]]) -> None:
        """Enter every connection that exists already, in each of the namespaces given as open
        file descriptors, one after the other."""

    def counters(self, netns: int, ports: Iterable[int]) -> Counts:
        """The sum over the ports of one namespace; zero for ports that never listened."""

    async def snapshot(self, netns_fd: int, ports: frozenset[int]) -> Snapshot:
        """The sockets on `ports` in the namespace open as netns_fd."""

    def watch(self, netns: int, ports: Iterable[int]) -> None:
        """Call `changed` once at the next change on any of the ports; again after each call."""

    def unwatch(self, netns: int, ports: Iterable[int]) -> None:
        """No more `changed` for the ports."""

    def missed(self) -> dict[str, int]:
        """How often an event or an entry was missed since the source began, by place."""

    async def prune(self, alive: Callable[[], set[int]]) -> None:
        """Free what is kept of namespaces that are not alive; `alive` lists those that are, and
        may block."""

    def close(self) -> None:
        """Detach from the kernel."""
