"""Advice on options, from recorded drains."""

import contextlib
import json
from math import ceil, inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.cli import client, evidence, main
from drainmon.cli.evidence import parse, parse_metrics
from drainmon.drain.advice import (
    BUSY,
    ENOUGH,
    GRACE,
    SURE,
    Buckets,
    Evidence,
    Values,
    advise,
    from_records,
)
from drainmon.drain.report import DrainRecord
from drainmon.drain.statistics import SECONDS_BOUNDS, Histogram

TIMES = st.floats(0, 300)


def record(
    seconds: float = 7.0,
    last_arrival: float | None = 2.0,
    settled: float = 5.0,
    result: str | None = "drained",
    arrivals: int = 50,
    min_wait: float = 5.0,
) -> dict[str, Any]:
    phases = [["settling", 0.0], ["waiting", settled], [result, seconds]]
    return {
        "seconds": seconds, "last_arrival": last_arrival, "phases": phases, "result": result,
        "pod": "web", "started": 1e9, "arrivals": arrivals,
        "min_wait": min_wait,
    }  # fmt: skip


@given(st.lists(TIMES, min_size=1), st.floats(0.01, 1))
def test_a_percentile_covers_its_share_and_no_more(values: list[float], share: float) -> None:
    least = Values(values).percentile(share)
    assert sum(value <= least for value in values) >= ceil(share * len(values))
    assert sum(value < least for value in values) < ceil(share * len(values))


@given(st.lists(TIMES, min_size=1), st.floats(0.01, 1))
def test_a_bucket_is_at_least_its_greatest_value(values: list[float], share: float) -> None:
    histogram = Histogram(SECONDS_BOUNDS, values)
    buckets = Buckets(histogram.cumulative(), histogram.sum)
    assert buckets.count == len(values)
    assert buckets.percentile(share) >= Values(values).percentile(share)


def test_advice_covers_nearly_all_drains() -> None:
    drains = [record(last_arrival=0.5) for _ in range(98 * 4)]
    drains += [record(seconds=9.0, last_arrival=3.2, settled=5.0), record(30.0, 20.0, 21.5)] * 4
    advice = advise(from_records(drains))
    assert advice.min_wait == 4.0  # 1.2 x 3.2, rounded up to the next half
    assert advice.timeout == ceil(4.0 + 1.5 + 1.2 * 4.0)
    assert advice.grace_period == 11 + GRACE
    assert advice.notes == []


def test_the_advised_timeout_leaves_half_for_settling() -> None:
    advice = advise(from_records([record(5.0, 4.0 - 0.5, 5.0) for _ in range(SURE)]))
    assert (advice.min_wait, advice.timeout) == (4.5, 12)


def test_min_wait_is_at_least_a_second() -> None:
    assert advise(from_records([record(last_arrival=0.01)] * SURE)).min_wait == 1.0


def test_no_advice_from_too_few_drains() -> None:
    advice = advise(from_records([record()] * (ENOUGH - 1)))
    assert (advice.min_wait, advice.timeout, advice.grace_period) == (None, None, None)
    assert any("19 have ended, 20 are needed; keep 25 s" in note for note in advice.notes)


@pytest.mark.parametrize(
    "drains",
    [
        [record()] * ENOUGH,
        [record()] * (SURE - 1),
        [record(arrivals=1)] * 1000,
        [record(arrivals=BUSY - 1)] * 1000,
    ],
)
def test_advice_below_the_defaults_requires_enough_drains(drains: list[dict[str, Any]]) -> None:
    advice = advise(from_records(drains))
    assert (advice.min_wait, advice.timeout) == (5.0, 25)
    assert "nothing below the defaults is advised (5 s, 25 s)" in advice.notes[-1]
    more = advise(from_records([*drains, *[record(60.0, 7.0, 8.5)] * len(drains)]))
    assert (more.min_wait, more.timeout) == (8.5, ceil(8.5 + 1.5 + 1.2 * 51.5))


def test_confidence_grows_with_the_number_of_drains() -> None:
    few, many = from_records([record()] * 20), from_records([record()] * SURE)
    assert (round(few.confidence, 2), few.is_sure) == (0.18, False)
    assert (round(many.confidence, 2), many.is_sure) == (0.95, True)
    assert advise(many).min_wait == 2.5
    # Connections after so short a min-wait were refused, and are in no record.
    assert not from_records([record(min_wait=2.0)] * SURE).is_sure


def test_drains_without_arrivals_give_no_min_wait() -> None:
    advice = advise(from_records([record(last_arrival=None)] * 1000))
    assert (advice.min_wait, advice.timeout) == (None, 25)
    assert "keep 5 s" in advice.notes[0]


def test_drains_with_arrivals_to_the_end_are_left_out() -> None:
    drains = [record(seconds=12.5, last_arrival=12.2)] * 30 + [record(last_arrival=1.0)] * SURE
    advice = advise(from_records(drains))
    assert advice.min_wait == 1.5
    assert "in 30 drains connections arrived to the end" in advice.notes[0]


def test_unfinished_drains_do_not_count() -> None:
    drains = [record(result=result) for result in ("abandoned", "gone", "failed", None)] * 20
    known = from_records(drains)
    assert (known.results["abandoned"], known.results["gone"], known.seconds.count) == (20, 20, 0)
    assert advise(known).timeout is None


def test_deadlines_are_reported() -> None:
    drains = [record()] * SURE + [record(25.0, 2.0, 5.0, "deadline")] * 5
    advice = advise(from_records(drains))
    assert advice.notes == [
        "5 of 305 drains ended at their deadline: they may need more than this --timeout"
    ]
    assert advice.timeout == ceil(2.5 + 1.5 + 1.2 * 20)


def test_cut_drains_are_reported() -> None:
    (note,) = advise(from_records([record()] * SURE + [record(7.0, 2.0, 5.0, "cut")] * 2)).notes
    assert note.startswith("2 drains were cut: nginx was stopped before they ended")


def exposition(last: list[float], seconds: list[float], labels: str = "") -> str:
    """The text of the daemon's metrics."""
    lines = ['drainmon_drains_total{result="drained"} 40.0']
    for what, values in (("last_arrival", last), ("drain", seconds)):
        histogram = Histogram((1, 2.5, 5, 10), values)
        name = f"drainmon_{what}_seconds"
        lines.append(f"# TYPE {name} histogram")
        for bound, count in histogram.cumulative():
            le = "+Inf" if bound == inf else bound
            lines.append(f'{name}_bucket{{{labels}le="{le}"}} {count}')
        lines += [
            f"{name}_sum{{{labels}}} {histogram.sum}",
            f"{name}_count{{{labels}}} {len(values)}",
        ]
    return "\n".join(lines) + "\n"


def test_histograms_of_metrics_are_read() -> None:
    text = exposition([0.5] * 39 + [2.2], [6.0] * 40)
    known = parse_metrics(text)
    assert known.results == {"drained": 40}
    assert known.last_arrival.percentile(0.5) == 1
    advice = advise(known)
    assert (advice.min_wait, advice.timeout) == (5.0, 25)  # arrivals per drain are unknown
    assert "has no number of arrivals per drain" in advice.notes[-1]
    late = advise(parse_metrics(exposition([9.0] * 40, [30.0] * 40)))
    assert late.min_wait == 12.0  # 1.2 x 10


def test_metrics_of_several_nodes_are_added_up() -> None:
    one, other = ([2.0] * 15, [6.0] * 15, 'node="a",'), ([2.0] * 10, [6.0] * 10, 'node="b",')
    known = parse_metrics(exposition(*one) + exposition(*other))
    assert (known.last_arrival.count, known.seconds.count, known.results["drained"]) == (25, 25, 80)


def test_histograms_show_arrivals_to_the_end_for_all_drains() -> None:
    known = parse_metrics(exposition([5.8] * 30, [6.0] * 30))
    assert (known.to_the_end, advise(known).min_wait) == (30, None)


def test_values_beyond_the_last_bucket_give_no_advice() -> None:
    advice = advise(parse_metrics(exposition([11.0] * 30, [99.0] * 30)))
    assert (advice.min_wait, advice.timeout) == (None, None)
    assert sum("beyond" in note or "last bucket" in note for note in advice.notes) == 2


def as_answer(drains: list[dict[str, Any]]) -> str:
    return json.dumps({"drains": drains})


def as_list(drains: list[dict[str, Any]]) -> str:
    return json.dumps(drains, indent=1)


def as_log(drains: list[dict[str, Any]]) -> str:
    lines: list[dict[str, Any]] = [{"event": "serving", "pods": 3}]
    lines += [{"event": "drain ended", "drain": drain} for drain in drains]
    return "\n".join(map(json.dumps, lines))


@pytest.mark.parametrize("form", [as_answer, as_list, as_log])
def test_records_are_read_in_any_form(form: Any) -> None:
    assert parse(form([record()] * 30)).seconds.count == 30


def test_a_real_record_is_read() -> None:
    real = DrainRecord("web", 1, 1e9, phases=[("settling", 0.0), ("drained", 5.0)], seconds=5.0)
    real.result = "drained"
    assert from_records([real.__dict__]).seconds.count == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no buckets of drainmon_last_arrival_seconds"),
        ("nonsense here", r"the input must be records of GET /v1/drains .* \(could not convert"),
        (
            "2026-03-01 12:00:00.250 info    serving  pods=3",
            r"the daemon's log of --log-format json, .* \(this is a log of --log-format text\)$",
        ),
        ("{", "Expecting property name"),
        ("[1]", "not a drain record: 1"),
        ('{"drains": {}}', "has the result None"),
        ('{"result": "eaten"}', "has the result 'eaten'"),
        ('[{"result": "drained"}]', "has a time of None"),
        ('[{"result": "drained", "seconds": NaN}]', "has a time of nan"),
        ('[{"result": "drained", "seconds": 1, "phases": [3]}]', r"has the phases \[3\]"),
        ("[" * 100_000, "too deep"),
    ],
)
def test_inputs_without_drains_are_rejected(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


@given(st.text() | st.text(alphabet='{}[]",:0123456789.drainmonle_="#\n '))
def test_arbitrary_text_does_not_crash_the_reader(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse(text), Evidence)


def test_advise_prints_one_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "drains.json"
    path.write_text(as_answer([record()] * SURE))
    assert main.main(["advise", "--file", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"drains of {path}: 300 drained"
    assert len(lines) < 24
    assert any(line.startswith("how sure: 95%, by 300 drains") for line in lines)
    assert [line.split()[:2] for line in lines if line.startswith(("--", "term"))] == [
        ["--min-wait", "2.5s"], ["--timeout", "8s"], ["terminationGracePeriodSeconds:", "13"],
    ]  # fmt: skip


def test_advise_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "drains.json"
    path.write_text(as_answer([record()] * 3))
    assert main.main(["advise", "--json", "--file", str(path)]) == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["min_wait"], said["timeout"], said["percentiles"]["drain"]["drains"]) == (
        None, None, 3,
    )  # fmt: skip


def test_advise_reads_the_daemons_drains(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "get", lambda _, resource: {"drains": [record()] * 30})
    assert main.main(["advise", "--socket", "/x"]) == 0
    assert "drains of the daemon at /x: 30 drained" in capsys.readouterr().out


def test_advise_reports_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["advise", "--file", "/nonexistent"]) == 1
    assert capsys.readouterr().err == (
        "drainmon: cannot read /nonexistent: No such file or directory\n"
    )


def test_advise_reads_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "drains.json"
    path.write_text(as_answer([record()] * 30))
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert evidence.read("-").seconds.count == 30
        with pytest.raises(OSError, match="cannot read standard input: the input must be records"):
            evidence.read("-")
