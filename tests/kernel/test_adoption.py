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


async def test_what_another_namespace_had_with_the_same_inode_says_nothing(netns: Netns) -> None:
    """It may be a sandbox's, of which nothing is seen."""
    assert await adopted(netns, remembering(netns, 8080)) is None


async def test_a_listener_with_any_name(netns: Netns) -> None:
    with netns.socket() as listener:
        listener.bind(("127.0.0.1", 40000))
        listener.listen()
        pod = await adopted(netns, Registry(["nginx"]))
    assert pod
    assert pod.ports == {40000}


async def test_what_nginx_has_left_to_send(netns: Netns) -> None:
    leave_an_orphan(netns)
    pod = await adopted(netns, Registry(["nginx"]))
    assert pod
    assert pod.ports == {PORT}


async def test_what_nginx_has_left_on_a_port_of_outgoing_connections(netns: Netns) -> None:
    """Only who has seen it listen knows."""
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
