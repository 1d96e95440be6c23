"""A pod: nginx processes that belong together, and their ports."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from drainmon.pods.identity import Identity


@dataclass(frozen=True)
class NginxProcess:
    """One process of nginx. `started`, in clock ticks since boot, and `pid` together identify the
    process, also after its pid is reused."""

    pid: int
    parent: int
    started: int


class PodKey(NamedTuple):
    """Identifies a pod at one time: by its network namespace; in the host's namespace also by
    `group`, the cgroup (`Owner.root`) of a pod or service."""

    netns: int
    group: str = ""


@dataclass(frozen=True)
class Pod:
    """nginx in one network namespace; in the host's, that of one pod or service.

    `number` is unique for the daemon's life; the `netns` inode of a dead pod is soon reused.
    `ports` are all on which its nginx has listened since the pod was first seen. `ways_in` are the
    pod's ways in, in words for people.
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
        """The key of its counts: other ports have other counts."""
        return self.number, self.ports

    @cached_property
    def label(self) -> str:
        """The pod's name, by its identity, else by its namespace."""
        return self.identity.label or f"netns-{self.netns}"

    @cached_property
    def names(self) -> tuple[str, str]:
        """Kubernetes' namespace, empty where unknown, and the pod's name, else its label."""
        return self.identity.namespace, self.identity.name or self.label

    @property
    def of_the_host(self) -> bool:
        """Whether the pod is a service of the host's own, in no pod or container. For pods in the
        host's namespace only."""
        return bool(self.identity.unit) or not self.group

    @property
    def masters(self) -> tuple[NginxProcess, ...]:
        """The processes whose parent is not nginx, to which signals are sent."""
        own = {process.pid for process in self.processes}
        return tuple(process for process in self.processes if process.parent not in own)
