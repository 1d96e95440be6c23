"""The pod of a caller in whose namespace no nginx is seen."""

import contextlib

import pytest

from bench.rig.netns import Netns
from bench.rig.orphan import PORT, leave_an_orphan
from drainmon.daemon.adoption import pod_with_ports
from drainmon.pods.cgroup import Owner
from drainmon.pods.pod import Pod, PodKey
from drainmon.pods.registry import Registry
from tests.kernel.idle_pod import IdlePod

pytestmark = pytest.mark.root


async def adopted(netns: Netns, registry: Registry) -> Pod | None:
    with IdlePod(netns) as idle:
        return await pod_with_ports(registry, netns.inode, Owner(), idle.pid, frozenset())


def remembering(netns: Netns, port: int) -> Registry:
    """A registry that has seen nginx end there."""
    registry = Registry(["nginx"])
    registry._remember(PodKey(netns.inode), frozenset({port}))
    return registry


async def test_a_namespace_does_not_inherit_ports_by_a_reused_inode(netns: Netns) -> None:
    """The namespace may be a sandbox's, whose sockets are hidden."""
    assert await adopted(netns, remembering(netns, 8080)) is None


async def test_a_pod_adopts_the_port_of_any_listener(netns: Netns) -> None:
    with netns.socket() as listener:
        listener.bind(("127.0.0.1", 40000))
        listener.listen()
        pod = await adopted(netns, Registry(["nginx"]))
    assert pod
    assert pod.ports == {40000}


async def test_a_pod_adopts_the_port_of_an_orphan(netns: Netns) -> None:
    leave_an_orphan(netns)
    pod = await adopted(netns, Registry(["nginx"]))
    assert pod
    assert pod.ports == {PORT}


async def test_a_pod_adopts_an_ephemeral_port_only_if_it_is_known(netns: Netns) -> None:
    """Only a registry that has seen the listener knows."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(netns.socket())
        listener.bind(("127.0.0.1", 40000))
        listener.listen()
        client = stack.enter_context(netns.socket())
        client.connect(("127.0.0.1", 40000))
        stack.enter_context(listener.accept()[0])
        listener.close()
        assert await adopted(netns, Registry(["nginx"])) is None
        pod = await adopted(netns, remembering(netns, 40000))
    assert pod
    assert pod.ports == {40000}
