"""A pod: the nginx processes of one network namespace and the ports they listen on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NginxProcess:
    """One process of nginx. `started` is in clock ticks since boot: with `pid` it is one process,
    never a later one with the same number."""

    pid: int
    parent: int
    started: int


@dataclass(frozen=True)
class Pod:
    """nginx in one network namespace.

    `number` is this pod's alone for the daemon's life; the `netns` inode of a dead pod is soon
    another's. `ports` are those that its nginx listens on, or has listened on since the pod was
    first seen.
    """

    number: int
    netns: int
    label: str
    processes: tuple[NginxProcess, ...]
    ports: frozenset[int]

    @property
    def masters(self) -> tuple[NginxProcess, ...]:
        """The processes whose parent is not nginx: who takes the signals."""
        own = {process.pid for process in self.processes}
        return tuple(process for process in self.processes if process.parent not in own)
