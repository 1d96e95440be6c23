"""Access: root of the host to everything, a pod to itself, all others to next to nothing."""

import contextlib
from dataclasses import dataclass
from enum import Enum

from drainmon.pods.cgroup import parse_owner
from drainmon.procfs import process
from drainmon.server.peer import Caller, asking_of


class Who(Enum):
    """The callers that may use a route, in words for a refusal."""

    ANYBODY = "anybody"
    """Any caller, also one that the daemon cannot see."""
    CALLER = "a process that is known"
    """Any process that the kernel identifies."""
    POD_OR_ROOT = "a pod or root of the host"
    """A pod; outside of pods, where the host's own nginx is, only root of the host."""
    HOST_ROOT = "root of the host"


@dataclass(frozen=True)
class Host:
    """What identifies the host's own processes: inodes of namespaces, and the cgroups of containers
    in which the host itself (kind) or the daemon runs."""

    network: frozenset[int]
    user: frozenset[int]
    containers: frozenset[str]

    def has_pod(self, caller: Caller) -> bool:
        """Whether the caller is in a pod or a container, by its cgroup or its namespace."""
        return self._is_contained(caller) or caller.netns not in self.network

    def is_root(self, caller: Caller) -> bool:
        """Whether the caller is root of the host, rather than of a pod in the host's network or of
        a user namespace. Raises OSError as `Caller.verify` does."""
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
    """The host, by pid 1 and the daemon; by the daemon alone where pid 1 may not be read."""
    network, user, containers = set(), set(), set()
    for pid in ("self", 1):
        with contextlib.suppress(OSError):
            owner = parse_owner(process.cgroup(pid))
            network.add(process.namespace_inode(pid, "net"))
            user.add(process.namespace_inode(pid, "user"))
            if owner.contained:
                containers.add(owner.root)
    return Host(frozenset(network), frozenset(user), frozenset(containers))
