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
    """A pod whose nginx does what it is told."""

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


def test_connections_that_ended_with_a_process_are_counted_from_the_first_look(
    played: Played,
) -> None:
    assert played.look(FLYING, cut=5) == Nginx()
    assert played.look(FLYING, cut=5).cut == 0
    assert played.look(NOTHING, cut=7).cut == 2
    assert played.look(NOTHING, cut=0).cut == 2  # another source begins anew
    assert played.look(NOTHING, cut=1).cut == 3
    more = replace(POD, ports=frozenset({80, 81}))  # whose counts of earlier come with it
    assert played.watch.now(more, Counts(cut=9), NOTHING).cut == 3
    assert played.watch.now(more, Counts(cut=10), NOTHING).cut == 4


def test_without_a_count_those_in_flight_when_nginx_vanished_were_cut(played: Played) -> None:
    assert played.look(FLYING).cut == 0
    played.work, played.runs = Work.NONE, False
    assert played.look(NOTHING) == Nginx(alive=False, lost=True, cut=3)


def test_the_master_may_outlive_its_workers_by_a_moment(played: Played) -> None:
    played.look(FLYING)
    played.work = Work.NONE
    assert played.look(NOTHING) == Nginx(cut=3)


def test_connections_elsewhere_are_in_no_count(played: Played) -> None:
    abroad = Tally(elsewhere=2)
    assert played.look(abroad, cut=0).cut == 0
    played.work, played.runs = Work.NONE, False
    assert played.look(NOTHING, cut=1).cut == 3


def test_an_nginx_that_was_seen_to_quit_has_finished(played: Played) -> None:
    played.look(FLYING)
    played.work = Work.QUITS
    played.look(FLYING)
    played.work, played.runs = Work.NONE, False
    assert played.look(NOTHING) == Nginx(alive=False, lost=True, cut=0)


def test_nothing_in_flight_nothing_cut(played: Played) -> None:
    played.look(FLYING)
    played.look(NOTHING)
    played.work, played.runs = Work.NONE, False
    assert played.look(NOTHING).cut == 0


def test_what_is_held_is_told(played: Played) -> None:
    played.watch.held = Held(uncounted=("udp 53",), abroad=True)
    assert played.look(NOTHING) == Nginx(uncounted=("udp 53",), abroad=True)


def test_a_pod_that_never_had_nginx_has_lost_none() -> None:
    without = Pod(1, 7, Identity(), (), frozenset({80}))
    watch = NginxWatch(without)
    assert not watch.has_lost(POD)
    assert watch.now(without, Counts(cut=0), NOTHING) == Nginx(alive=False, seen=False)
    assert watch.now(POD, Counts(cut=0), NOTHING) == Nginx(alive=False)
