"""Which network namespaces get the daemon's sockets."""

from drainmon.daemon.doors import NAMESPACES, shares_of
from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod


def pod(number: int, name: str, netns: int) -> Pod:
    return Pod(number, netns, Identity("shop", name), (), frozenset())


def test_a_pod_with_many_namespaces_leaves_room_for_others() -> None:
    greedy = [pod(number, "greedy", number) for number in range(1, NAMESPACES + 20)]
    modest = [pod(1000, "modest", 1000)]
    assert shares_of([*reversed(greedy), *modest]) == [*reversed(greedy[:NAMESPACES]), *modest]


def test_pods_that_share_a_namespace_all_get_its_socket() -> None:
    shared = [pod(number, f"pod-{number}", 7) for number in range(3)]
    assert shares_of(shared) == shared
