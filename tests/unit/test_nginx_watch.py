"""Whether nginx was stopped while connections were in flight."""

from dataclasses import replace

import pytest

from drainmon.daemon import nginx_watch
from drainmon.daemon.nginx_watch import NginxWatch
from drainmon.drain.nginx import Nginx
from drainmon.model.counts import Counts
from drainmon.model.snapshot import Tally
from drainmon.model.tcp import TcpState
from drainmon.pods.held import Held
from drainmon.pods.identity import Identity
from drainmon.pods.nginx import Work
from drainmon.pods.pod import NginxProcess, Pod

POD = Pod(1, 7, Identity(), (NginxProcess(10, 1, 5),), frozenset({80}))
FLYING = Tally(flying={TcpState.ESTABLISHED: 3})
NOTHING = Tally()


class Played:
    """A pod with a fake nginx."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.work, self.runs = Work.SERVES, True
        monkeypatch.setattr(nginx_watch, "work_of", lambda masters: self.work)
        monkeypatch.setattr(nginx_watch, "is_running", lambda master: self.runs)
        self.watch = NginxWatch(POD)

    def look(self, tally: Tally, cut: int | None = None) -> Nginx:
        return self.watch.now(POD, Counts(cut=cut), tally)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(monkeypatch)


def test_connections_that_end_with_a_process_are_cut(
    played: Played,
) -> None:
    assert played.look(FLYING, cut=5) == Nginx()
    assert played.look(FLYING, cut=5).cut == 0
    assert played.look(NOTHING, cut=7).cut == 2
    assert played.look(NOTHING, cut=0).cut == 2  # another source starts at zero
    assert played.look(NOTHING, cut=1).cut == 3
    more = replace(POD, ports=frozenset({80, 81}))  # the new port brings its earlier counts
    assert played.watch.now(more, Counts(cut=9), NOTHING).cut == 3
    assert played.watch.now(more, Counts(cut=10), NOTHING).cut == 4


def test_connections_in_flight_are_cut_if_nginx_vanishes(played: Played) -> None:
    assert played.look(FLYING).cut == 0
    played.work, played.runs = Work.NONE, False
    assert played.look(NOTHING) == Nginx(alive=False, lost=True, cut=3)


def test_connections_are_cut_if_only_the_master_is_left(played: Played) -> None:
    played.look(FLYING)
    played.work = Work.NONE
    assert played.look(NOTHING) == Nginx(cut=3)


def test_connections_elsewhere_are_added_to_the_cut_count(played: Played) -> None:
    abroad = Tally(elsewhere=2)
    assert played.look(abroad, cut=0).cut == 0
    played.work, played.runs = Work.NONE, False
    assert played.look(NOTHING, cut=1).cut == 3


def test_an_nginx_that_quits_cuts_nothing(played: Played) -> None:
    played.look(FLYING)
    played.work = Work.QUITS
    played.look(FLYING)
    played.work, played.runs = Work.NONE, False
    assert played.look(NOTHING) == Nginx(alive=False, lost=True, cut=0)


def test_nothing_in_flight_is_not_cut(played: Played) -> None:
    played.look(FLYING)
    played.look(NOTHING)
    played.work, played.runs = Work.NONE, False
    assert played.look(NOTHING).cut == 0


def test_uncounted_listeners_are_reported(played: Played) -> None:
    played.watch.held = Held(uncounted=("udp 53",), listens_elsewhere=True)
    assert played.look(NOTHING) == Nginx(uncounted=("udp 53",), listens_elsewhere=True)


def test_a_pod_without_nginx_has_not_lost_it() -> None:
    without = Pod(1, 7, Identity(), (), frozenset({80}))
    watch = NginxWatch(without)
    assert not watch.has_lost(POD)
    assert watch.now(without, Counts(cut=0), NOTHING) == Nginx(alive=False, seen=False)
    assert watch.now(POD, Counts(cut=0), NOTHING) == Nginx(alive=False)
