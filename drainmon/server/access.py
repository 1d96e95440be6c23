"""Who may ask what: root of the host, a pod about itself, and others next to nothing."""

import contextlib
from dataclasses import dataclass
from enum import Enum

from drainmon.pods.cgroup import parse_owner
from drainmon.procfs import process
from drainmon.server.peer import Caller, asking_of


class Who(Enum):
    """Who may use a route, in words for those who may not."""

    ANYBODY = "anybody"
    """Also a process that the daemon cannot see: nobody is asked."""
    CALLER = "a process that is known"
    """Any process that the kernel identifies."""
    POD_OR_ROOT = "a pod or root of the host"
    """A pod; outside of pods, where the host's own nginx is, only root of the host."""
    HOST_ROOT = "root of the host"


@dataclass(frozen=True)
class Host:
    """What only the host's own processes have: inodes of namespaces, and the cgroups of containers
    in which the host itself may be (kind), or the daemon."""

    network: frozenset[int]
    user: frozenset[int]
    containers: frozenset[str]

    def has_pod(self, caller: Caller) -> bool:
        """Whether the caller is in a pod or a container, by its cgroup or by its namespace."""
        return self._is_contained(caller) or caller.netns not in self.network

    def is_root(self, caller: Caller) -> bool:
        """Whether the caller is root of the host: not of a pod in the host's network, nor of a user
        namespace. Raises OSError as `Caller.verify` does."""
        if caller.uid != 0 or self.has_pod(caller):
            return False
        with asking_of(caller.pid):
            return process.namespace_inode(caller.pid, "user") in self.user

    def may(self, who: Who, caller: Caller) -> bool:
        """Whether an identified caller is one of `who`."""
        match who:
            case Who.ANYBODY | Who.CALLER:
                return True
            case Who.POD_OR_ROOT:
                return self.has_pod(caller) or self.is_root(caller)
            case Who.HOST_ROOT:
                return self.is_root(caller)

    def _is_contained(self, caller: Caller) -> bool:
        return caller.owner.contained and caller.owner.root not in self.containers


def find_host() -> Host:
    """What pid 1 and the daemon have. Without the right to look at pid 1, the daemon alone."""
    network, user, containers = set(), set(), set()
    for pid in ("self", 1):
        with contextlib.suppress(OSError):
            owner = parse_owner(process.cgroup(pid))
            network.add(process.namespace_inode(pid, "net"))
            user.add(process.namespace_inode(pid, "user"))
            if owner.contained:
                containers.add(owner.root)
    return Host(frozenset(network), frozenset(user), frozenset(containers))
