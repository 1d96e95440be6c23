"""Progress lines, results and records of drains."""

import json
import re

import pytest

from drainmon.drain.demand import Phase
from drainmon.drain.machine import Drain
from drainmon.drain.nginx import Nginx
from drainmon.drain.policy import Policy
from drainmon.drain.report import (
    NEWCOMERS_SHOWN,
    REMAINING_SHOWN,
    DrainRecord,
    describe_socket,
    progress,
)
from drainmon.drain.roll import Outcome, Roll
from drainmon.model.tcp import TcpState
from tests.unit.sockets import established, in_state, snapshot


def test_progress_has_phase_counts_and_reason() -> None:
    drain = Drain(Policy(min_wait=5), 100.0)
    drain.saw(snapshot(101.0, established(), established(), in_state(TcpState.FIN_WAIT1)))
    assert progress(drain, drain.demands[0], 101.2) == {
        "phase": "settling",
        "in_flight": 3,
        "by_state": {"ESTABLISHED": 2, "FIN_WAIT1": 1},
        "elapsed": 1.2,
        "reason": "min-wait has 3.8 s to go",
    }


def test_the_last_line_names_the_remaining_connections() -> None:
    drain = Drain(Policy(timeout=2), 100.0)
    drain.saw(snapshot(101.0, *[established(99.0)] * 50))
    (demand,) = drain.demands
    drain.step(102.0)
    line = progress(drain, demand, 102.0)
    assert line["result"] == "deadline"
    assert len(line["remaining"]) == REMAINING_SHOWN
    first = line["remaining"][0]
    assert first["remote"] == "192.0.2.1:40000"
    assert (first["state"], first["age"], first["idle"]) == ("ESTABLISHED", 3.0, 0.5)


@pytest.mark.parametrize("since", [0.0, 1e-9, 1e-4, 1e9])
def test_no_number_has_an_exponent(since: float) -> None:
    """The client's reader of JSON takes none."""
    drain = Drain(Policy(timeout=2), 100.0)
    drain.saw(snapshot(101.0, established(102.0 - since)))
    drain.rolled(Roll(Outcome.QUIT))
    (demand,) = drain.demands
    drain.step(102.0)
    line = json.dumps(progress(drain, demand, 102.0 + since))
    assert not re.search(r"[0-9]e[-+]?[0-9]", line, re.IGNORECASE)


def test_a_connection_opened_during_the_look_has_no_negative_age() -> None:
    # The look began before the connection opened.
    assert describe_socket(established(100.04), 100.0)["age"] == 0.0


def test_a_record_follows_its_drain() -> None:
    drain = Drain(Policy(min_wait=1), 100.0)
    record = DrainRecord("pod", 1, 1e9)
    drain.saw(snapshot(100.0, established(), established()))
    record.update(drain, 100.0)
    drain.saw(snapshot(102.5, established()))
    drain.step(102.5)
    record.update(drain, 102.5)
    assert drain.phase is Phase.ROLLING
    drain.rolled(Roll(Outcome.QUIT))
    record.update(drain, 102.6)
    assert record.phases == [("settling", 0.0), ("rolling", 2.5), ("waiting", 2.6)]
    assert (record.peak_in_flight, record.peak_by_state) == (2, {"ESTABLISHED": 2})
    assert (record.in_flight, record.by_state) == (1, {"ESTABLISHED": 1})
    assert record.rolls == [2.5]


def test_the_last_arrival_requires_a_counted_arrival() -> None:
    # For a port without arrivals, a daemon reports its own start as the last one.
    drain = Drain(Policy(elapsed=7), 100.0)
    record = DrainRecord("pod", 1, 1e9)
    drain.arrived(107.0)
    record.update(drain, 108.0)
    assert record.last_arrival is None
    record.arrivals = 1
    drain.arrived(108.5)
    record.update(drain, 109.0)
    assert record.last_arrival == 8.5


def test_an_arrival_before_the_drain_is_not_recorded() -> None:
    drain = Drain(Policy(), 100.0)
    record = DrainRecord("pod", 1, 1e9, arrivals=1)
    drain.arrived(99.0)
    record.update(drain, 108.0)
    assert record.last_arrival is None


def test_a_deadline_counts_and_names_the_remaining_connections() -> None:
    drain = Drain(Policy(timeout=2), 100.0)
    record = DrainRecord("pod", 1, 1e9)
    drain.saw(snapshot(101.0, *[established(99.0)] * 50))
    drain.step(102.0)
    record.update(drain, 102.0)
    assert (record.in_flight, len(record.remaining)) == (50, REMAINING_SHOWN)
    assert record.phases[-1] == ("deadline", 2.0)


def test_a_deadline_reports_clients_that_are_still_sent() -> None:
    drain = Drain(Policy(timeout=7.75, margin=0.25, min_wait=2), 100.0)
    record = DrainRecord("pod", 1, 1e9)
    record.update(drain, 100.0)
    old, new = [established(99.0)] * 20, [established(106.5)] * 30
    drain.saw(snapshot(107.7, *old, *new))
    (demand,) = drain.demands
    drain.step(107.75)
    record.update(drain, 107.75)
    line = progress(drain, demand, 107.75)
    assert record.reason == line["reason"]
    assert line["reason"] == (
        "the timeout of 8 s is over; most of the connections left are at most 2 s old: clients are "
        "still being sent here (they use the pod's IP directly, or the load balancer has not "
        "noticed yet)"
    )
    assert len(line["remaining"]) == len(record.remaining) == NEWCOMERS_SHOWN
    assert record.timeout == 8.0


def test_no_connection_is_younger_than_its_snapshot() -> None:
    for opened in (100.0, 100.0004, 101.0):
        assert str(describe_socket(established(opened), 100.0)["age"]) == "0.0"


def test_the_reason_reports_that_no_nginx_was_seen() -> None:
    drain = Drain(Policy(timeout=9, min_wait=1), 100.0)
    (demand,) = drain.demands
    drain.saw(snapshot(102.6), Nginx(alive=False, seen=False))
    drain.step(102.6)
    assert progress(drain, demand, 102.6)["reason"] == (
        "nothing in flight; no nginx seen here: every listening port was counted"
    )
