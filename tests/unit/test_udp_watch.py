"""Which workers may still serve over UDP, while workers come and go."""

from dataclasses import dataclass, field

import pytest

from drainmon.daemon import udp_watch
from drainmon.daemon.udp_watch import UdpWatch
from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import process

POD = Pod(1, 7, Identity(), (NginxProcess(10, 1, 5),), frozenset({443}))
QUIC, DNS = frozenset({443}), frozenset({53})
A, B, NEW = (NginxProcess(pid, 10, 6) for pid in (11, 12, 13))


@dataclass
class Played:
    """A fake nginx, and its datagrams received and sent."""

    watch: UdpWatch = field(default_factory=UdpWatch)
    workers: set[NginxProcess] = field(default_factory=lambda: {A, B})
    quitting: set[NginxProcess] = field(default_factory=set)
    received: int = 100
    sent: int = 200

    def look(self, now: float, ports: frozenset[int] = QUIC) -> int:
        self.watch.look(POD, ports, now, 10.0)
        return self.watch.workers


@pytest.fixture
def nginx(monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played()
    monkeypatch.setattr(udp_watch, "all_workers", lambda pod: set(played.workers))
    monkeypatch.setattr(udp_watch, "is_running", lambda worker: worker in played.workers)
    monkeypatch.setattr(udp_watch, "is_quitting", lambda worker: worker in played.quitting)
    statistics = "Udp: InDatagrams OutDatagrams\nUdp: {0.received} {0.sent}\n"
    monkeypatch.setattr(
        process, "udp_statistics", lambda pid: (statistics.format(played).encode(), b"")
    )
    return played


def test_no_worker_counts_without_udp(nginx: Played) -> None:
    assert nginx.look(0.0, frozenset()) == 0


def test_workers_of_a_roll_count_until_they_end(nginx: Played) -> None:
    nginx.workers.add(NEW)
    assert nginx.look(0.0) == 3
    nginx.workers.remove(NEW)
    assert nginx.look(1.0) == 2  # it has crashed before the roll
    nginx.watch.rolls(POD)
    nginx.workers = {B, NEW}
    nginx.quitting = {B}
    assert (nginx.look(2.0), nginx.watch.all_quit, nginx.watch.is_known) == (1, True, True)
    nginx.workers = {NEW}
    assert (nginx.look(3.0), nginx.watch.is_known) == (0, True)


def test_a_worker_without_a_signal_is_not_counted_as_signalled(nginx: Played) -> None:
    nginx.look(0.0)
    nginx.watch.rolls(POD)
    nginx.quitting = {A}
    assert (nginx.look(1.0), nginx.watch.all_quit, nginx.watch.is_known) == (2, False, False)


def test_workers_of_vanished_clients_are_given_up(nginx: Played) -> None:
    nginx.quitting = {A, B}
    assert nginx.look(0.0) == 2
    nginx.watch.rolls(POD)
    for second in range(3, 10):
        nginx.sent += 1
        assert nginx.look(float(second)) == 2
    assert (nginx.look(10.0), nginx.watch.is_known) == (0, False)
    nginx.received += 1  # a client was only out of reach
    assert nginx.look(11.0) == 2


def test_quic_clients_have_not_vanished_while_nginx_is_silent(nginx: Played) -> None:
    nginx.quitting = {A, B}
    nginx.look(0.0)
    assert nginx.look(100.0) == 2
    assert nginx.look(100.0, QUIC | DNS) == 2
    assert nginx.look(100.0, DNS) == 0


def test_workers_that_do_not_quit_are_not_given_up(nginx: Played) -> None:
    nginx.look(0.0)
    nginx.sent += 1
    assert nginx.look(50.0) == 2
