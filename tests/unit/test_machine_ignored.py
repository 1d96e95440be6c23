"""Connections that a drain does not wait for."""

from drainmon.drain.demand import Phase
from drainmon.drain.machine import Drain
from drainmon.drain.policy import Policy
from drainmon.model.ignored import Ignored
from tests.unit.sockets import ADDRESS, established
from tests.unit.world import World

IGNORED = Ignored.parse(["192.0.2.0/24"])
OTHER = ADDRESS[:12] + bytes([198, 51, 100, 1])


def test_probes_are_neither_in_flight_nor_arrivals() -> None:
    world = World(lambda t: (established(100.0 + t)._replace(probe=True),), min_wait=1)
    assert world.run() == (Phase.DRAINED, 1.0)
    assert world.rolls == []


def test_ignored_connections_are_neither_in_flight_nor_arrivals() -> None:
    world = World(lambda t: (established(100.0 + t),), min_wait=1, ignored=IGNORED)
    assert world.run() == (Phase.DRAINED, 1.0)


def test_other_connections_beside_ignored_ones_hold_the_drain() -> None:
    both = established(), established()._replace(remote=OTHER)
    world = World(lambda _: both, timeout=10, ignored=IGNORED)
    assert world.run() == (Phase.DEADLINE, 10.0)
    assert [socket.remote for socket in world.drain.in_flight] == [OTHER]


def test_a_wake_up_with_ignored_connections_causes_a_look() -> None:
    """The counters do not know which peers are ignored."""
    busy = established()._replace(remote=OTHER)
    world = World(lambda _: (established(), busy), min_wait=0, quiet=0, ignored=IGNORED)
    world.until(0.5)
    world.now += 0.1
    world.sockets = lambda _: (established(),)
    world.drain.woke(in_flight=1)
    looks = len(world.looks)
    world.step()
    assert len(world.looks) == looks + 1
    assert world.run() == (Phase.DRAINED, 0.6)


def test_only_peers_that_every_client_ignores_are_ignored() -> None:
    drain = Drain(Policy(ignored=Ignored.parse(["10.0.0.0/8", "192.0.2.0/24"], ["80"])), 100.0)
    drain.join(Policy(ignored=Ignored.parse(["10.1.0.0/16"], ["80", "81"])), 101.0)
    assert drain.rules.ignored == Ignored.parse(["10.1.0.0/16"], ["80"])
    strict = drain.join(Policy(), 102.0)
    assert not drain.rules.ignored
    drain.leave(strict)
    assert drain.rules.ignored == Ignored.parse(["10.1.0.0/16"], ["80"])
