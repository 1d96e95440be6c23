"""The latest drains are kept, and their records stay small."""

import tracemalloc

from drainmon.drain.records import KEPT, Records
from drainmon.drain.report import REMAINING_SHOWN, DrainRecord


def record(number: int, result: str | None = None) -> DrainRecord:
    return DrainRecord(f"pod-{number}", 4026531840 + number, 1.7e9 + number, result=result)


def at_its_deadline(number: int) -> DrainRecord:
    made = record(number, "deadline")
    made.phases = [("settling", 0.01), ("rolling", 5.0), ("waiting", 5.1), ("deadline", 25.0)]
    made.remaining = [
        {
            "remote": f"10.{number % 256}.{row}.7:{40000 + number * row % 20000}",
            "local": "10.64.0.2:8080", "state": "ESTABLISHED", "age": number * row / 7,
            "idle": row / 13, "unsent": number * row * 37, "bytes_received": row * 211,
            "in_flight": True,
        }
        for row in range(REMAINING_SHOWN)
    ]  # fmt: skip
    return made


def test_the_latest_drain_comes_first() -> None:
    records = Records()
    numbers = [records.begin(record(number)) for number in range(3)]
    records.end(numbers[1])
    assert [kept.pod for kept in records.latest()] == ["pod-2", "pod-1", "pod-0"]


def test_a_running_drains_record_is_current() -> None:
    records = Records()
    running = record(1)
    records.begin(running)
    running.arrivals = 7
    assert next(records.latest()).arrivals == 7


def test_an_ended_drains_record_is_restored() -> None:
    records = Records()
    ended = at_its_deadline(5)
    records.end(records.begin(ended))
    (kept,) = records.latest()
    assert kept == ended
    assert kept is not ended


def test_the_oldest_drains_are_forgotten_even_while_they_run() -> None:
    records = Records(kept=2)
    numbers = [records.begin(record(number)) for number in range(4)]
    for number in numbers:
        records.end(number)
    assert [kept.pod for kept in records.latest()] == ["pod-3", "pod-2"]


def test_records_may_end_while_they_are_read() -> None:
    records = Records()
    first = records.begin(record(1))
    records.begin(record(2))
    reading = records.latest()
    assert next(reading).pod == "pod-2"
    records.end(first)
    records.begin(record(3))
    assert [kept.pod for kept in reading] == ["pod-1"]


def test_a_thousand_deadlines_take_less_than_two_megabytes() -> None:
    tracemalloc.start()
    records = Records()
    for number in range(KEPT):
        records.end(records.begin(at_its_deadline(number)))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 2_000_000
