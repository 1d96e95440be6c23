"""A pod: nginx processes that belong together and the ports they listen on."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from drainmon.pods.identity import Identity


@dataclass(frozen=True)
class NginxProcess:
    """One process of nginx. `started` is in clock ticks since boot: with `pid` it is one process,
    never a later one with the same number."""

    pid: int
    parent: int
    started: int


class PodKey(NamedTuple):
    """Which pod it is at one time. A network namespace of its own is one pod; in the host's,
    `group` is the cgroup (`Owner.root`) that tells its pods and services apart."""

    netns: int
    group: str = ""


@dataclass(frozen=True)
class Pod:
    """nginx in one network namespace; in the host's, that of one pod or service.

    `number` is this pod's alone for the daemon's life; the `netns` inode of a dead pod is soon
    another's. `ports` are those that its nginx listens on, or has listened on since the pod was
    first seen. `ways_in` are what its hooks can reach the daemon by, in words for people.
    """

    number: int
    netns: int
    identity: Identity
    processes: tuple[NginxProcess, ...]
    ports: frozenset[int]
    group: str = ""
    ways_in: tuple[str, ...] = ()

    @property
    def key(self) -> PodKey:
        return PodKey(self.netns, self.group)

    @property
    def counted_by(self) -> tuple[int, frozenset[int]]:
        """What its counts are kept by: other ports have other counts."""
        return self.number, self.ports

    @cached_property
    def label(self) -> str:
        """What the pod is called: by its identity, else by its namespace."""
        return self.identity.label or f"netns-{self.netns}"

    @cached_property
    def names(self) -> tuple[str, str]:
        """Kubernetes' namespace, empty where there is none, and the name in it, else the label."""
        return self.identity.namespace, self.identity.name or self.label

    @property
    def of_the_host(self) -> bool:
        """Whether it is the host's own service, in no pod and no container: for a pod of the
        host's namespace only."""
        return bool(self.identity.unit) or not self.group

    @property
    def masters(self) -> tuple[NginxProcess, ...]:
        """The processes whose parent is not nginx: who takes the signals."""
        own = {process.pid for process in self.processes}
        return tuple(process for process in self.processes if process.parent not in own)
