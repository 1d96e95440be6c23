"""What callers are told."""

from drainmon.drain.machine import Drain, Phase
from drainmon.drain.policy import Policy
from drainmon.drain.report import REMAINING_SHOWN, DrainRecord, progress
from drainmon.model.tcp import TcpState
from tests.unit.sockets import established, in_state, snapshot


def test_a_line_of_progress() -> None:
    drain = Drain(Policy(min_wait=5), 100.0)
    drain.saw(snapshot(101.0, established(), established(), in_state(TcpState.FIN_WAIT1)))
    assert progress(drain, 101.2) == {
        "phase": "settling",
        "in_flight": 3,
        "by_state": {"ESTABLISHED": 2, "FIN_WAIT1": 1},
        "elapsed": 1.2,
        "reason": "min-wait has 3.8 s to go",
    }


def test_the_last_line() -> None:
    drain = Drain(Policy(timeout=2), 100.0)
    drain.saw(snapshot(101.0, *[established(99.0)] * 50))
    drain.step(102.0)
    line = progress(drain, 102.0)
    assert line["result"] == "deadline"
    assert len(line["remaining"]) == REMAINING_SHOWN
    first = line["remaining"][0]
    assert first["remote"] == "192.0.2.1:40000"
    assert (first["state"], first["age"], first["idle"]) == ("ESTABLISHED", 3.0, 0.5)


def test_a_record_grows_with_its_drain() -> None:
    drain = Drain(Policy(min_wait=1), 100.0)
    record = DrainRecord("pod", 1, 1e9)
    drain.saw(snapshot(100.0, established(), established()))
    drain.arrived(100.7)
    record.update(drain, 100.0)
    drain.saw(snapshot(102.5, established()))
    drain.step(102.5)
    record.update(drain, 102.5)
    assert drain.phase is Phase.ROLLING
    drain.rolled(102.5, "")
    record.update(drain, 102.6)
    assert record.phases == [("settling", 0.0), ("rolling", 2.5), ("waiting", 2.6)]
    assert record.peak_in_flight == 2
    assert record.last_arrival == 0.7
    assert record.rolls == [2.5]
