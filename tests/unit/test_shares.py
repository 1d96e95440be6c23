"""Which ports are counted, for any number of pods and ports."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod
from drainmon.sources.shares import SHARE, Shares, fair_share

HOST = 1


class Kernel:
    """The ports counted in the kernel; adding a port resets its counter."""

    def __init__(self, room: int = 10**6) -> None:
        self.room = room
        self.counted: dict[tuple[int, int], int] = {}
        self.now = 100.0
        self.shares = Shares(self.add, self.forget, room, lambda: self.now)

    def add(self, netns: int, port: int) -> bool:
        if (netns, port) not in self.counted and len(self.counted) >= self.room:
            return False
        self.counted[netns, port] = 0
        return True

    def forget(self, netns: int, port: int) -> None:
        del self.counted[netns, port]

    def count(self) -> None:
        """Increment every counter."""
        self.counted = {key: n + 1 for key, n in self.counted.items()}


def pod(number: int, ports: Iterable[int], netns: int = 0, group: str = "") -> Pod:
    return Pod(number, netns or number, Identity(), (), frozenset(ports), group)


def test_only_ports_of_pods_are_counted() -> None:
    kernel = Kernel()
    kernel.shares.follow([pod(10, [80, 443]), pod(11, [80])])
    assert kernel.counted.keys() == {(10, 80), (10, 443), (11, 80)}
    kernel.count()
    kernel.shares.follow([pod(10, [80, 8080])])
    assert kernel.counted == {(10, 80): 1, (10, 8080): 0}


def test_a_share_knows_since_when_all_its_ports_are_counted() -> None:
    kernel = Kernel()
    web, more = pod(10, [80]), pod(10, [80, 443])
    assert (kernel.shares.of(web).since, kernel.shares.of(web).whole) == (None, False)
    kernel.shares.follow([web])
    kernel.now = 105.0
    assert (kernel.shares.of(web).since, kernel.shares.of(more).since) == (100.0, None)
    kernel.shares.follow([more])
    assert (kernel.shares.of(web).since, kernel.shares.of(more).since) == (100.0, 105.0)
    assert (kernel.shares.of(pod(10, [])).since, kernel.shares.of(pod(10, [])).whole) == (
        None,
        True,
    )


def test_counters_of_a_pods_successor_start_at_zero() -> None:
    kernel = Kernel()
    kernel.shares.follow([pod(10, [80], netns=5)])
    kernel.count()
    kernel.shares.follow([pod(11, [80], netns=5)])
    assert kernel.counted == {(5, 80): 0}


def test_a_shared_port_stays_counted_while_one_pod_has_it() -> None:
    kernel = Kernel()
    one, other = pod(10, [80], HOST, "/one"), pod(11, [80], HOST, "/other")
    kernel.shares.follow([one, other])
    kernel.count()
    kernel.shares.follow([other])
    kernel.count()
    kernel.shares.follow([pod(12, [80], HOST, "/one"), other])
    assert kernel.counted == {(HOST, 80): 2}


def test_a_pod_gets_at_most_its_share_and_keeps_it() -> None:
    kernel = Kernel()
    many = pod(10, range(5000, 5000 + SHARE + 10))
    kernel.shares.follow([many, pod(11, [80])])
    had = {key for key in kernel.counted if key[0] == 10}
    assert (len(had), (11, 80) in kernel.counted) == (SHARE, True)
    share = kernel.shares.of(many)
    assert (len(share.counted), share.whole, share.since) == (SHARE, False, None)
    kernel.count()
    kernel.shares.follow([pod(10, range(100, 5000 + SHARE + 10)), pod(11, [80])])
    assert {key for key in kernel.counted if key[0] == 10} == had
    assert set(kernel.counted.values()) == {1}


def test_namespaces_of_one_owner_have_one_share_together() -> None:
    kernel = Kernel()
    owner = Identity(container_id="c" * 64)
    nested = [Pod(n, n, owner, (), frozenset(range(5000, 5000 + SHARE))) for n in range(10, 14)]
    kernel.shares.follow([*nested, pod(20, [80])])
    assert len(kernel.counted) == SHARE + 1
    assert kernel.shares.of(nested[0]).whole
    assert kernel.shares.of(nested[3]).counted == ()


def test_a_pod_is_counted_once_there_is_memory() -> None:
    kernel = Kernel()
    kernel.room = 1
    first, second = pod(10, [80]), pod(11, [80])
    for _ in range(2):
        kernel.shares.follow([first, second])
        assert (kernel.shares.of(first).whole, kernel.shares.of(second).whole) == (True, False)
    kernel.shares.follow([second])
    assert kernel.shares.of(second).whole


def test_the_largest_pods_get_less_when_the_map_is_full() -> None:
    kernel = Kernel(room=20)
    greedy = [pod(n, range(5000, 5100)) for n in (10, 11)]
    modest = [pod(n, [80, 443]) for n in (12, 13, 14)]
    kernel.shares.follow([*greedy, *modest])
    assert [len(kernel.shares.of(one).counted) for one in greedy] == [7, 7]
    assert all(kernel.shares.of(one).whole for one in modest)


@given(st.lists(st.integers(0, 300), max_size=30), st.integers(0, 2000))
def test_a_fair_share_uses_the_room_and_fits_it(wanted: list[int], room: int) -> None:
    share = fair_share(wanted, room)
    assert sum(min(size, share) for size in wanted) <= room
    if any(size > share for size in wanted):
        assert sum(min(size, share + 1) for size in wanted) > room
