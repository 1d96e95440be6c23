"""Finds the pod of a client, with all ports that may be nginx's."""

import asyncio
import errno

from drainmon.pods.cgroup import Owner
from drainmon.pods.discovery import owner_of, ports_of_owner
from drainmon.pods.held import is_in_sight
from drainmon.pods.listeners import ports_in_use, server_ports
from drainmon.pods.nginx import is_running
from drainmon.pods.pod import Pod, PodKey
from drainmon.pods.registry import Registry


async def pod_with_ports(
    registry: Registry, netns: int, owner: Owner, pid: int, ports: frozenset[int]
) -> Pod | None:
    """The pod of the process `pid` as the last scan found it; in a namespace of its own, with the
    `ports` that its client knows.

    Where no port of nginx is known, with the ports of all other servers in it, and of its nginx
    that has ended: bytes may be left to send, nginx may have a name that is not in --process, or
    its files may be unreadable. Raises ValueError where the pod is ambiguous (`Registry.find`)."""
    pod = registry.find(netns, owner)
    if ports and not registry.shared(netns):
        # Only ports that are visible: in a sandbox only the client sees them.
        ports &= await asyncio.to_thread(ports_in_use, pid)
        if pod is None and ports:
            return registry.adopt(netns, owner, ports)
        if pod:
            registry.learn(pod.key, ports)
            pod = registry.get(pod.key)
    if pod and (pod.ports or is_in_sight(pod)):
        return pod
    ended = registry.ended_ports(registry.key(netns, owner))
    if registry.shared(netns):
        found = ended | await asyncio.to_thread(ports_of_owner, netns, owner)
    else:
        # The inode may be another namespace's by now: unused ports prove nothing.
        found = ended & await asyncio.to_thread(ports_in_use, pid)
        found |= await asyncio.to_thread(server_ports, pid)
    return registry.adopt(netns, owner, found) if found else pod


async def pod_in(registry: Registry, netns: int) -> tuple[Pod, int]:
    """The pod in a network namespace of its own, with its ports (`pod_with_ports`), and the pid of
    one of its processes. Raises ProcessLookupError when no nginx runs there any more."""
    pod = registry.get(PodKey(netns))
    nginx = next(filter(is_running, pod.processes if pod else ()), None)
    if pod is None or nginx is None:
        raise ProcessLookupError(errno.ESRCH, "no nginx runs in this pod any more")
    owner = owner_of(nginx.pid)
    whole = await pod_with_ports(registry, netns, owner, nginx.pid, frozenset())
    return whole or pod, nginx.pid
