"""The comparison of hooks: its evaluation, and short real trials."""

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.hooks import __main__ as hooks
from bench.hooks import bar, chart, report
from bench.hooks.contenders import CONTENDERS, MIXES, WAYS_IN
from bench.hooks.record import Record, Run, Store
from bench.rig.errors import RigError
from bench.rig.outcome import Kind, Outcome, Totals

NEW, OLD = (1, 31, 3), (1, 22, 1)


def record(
    contender: str,
    seed: int,
    *lost: tuple[Kind, Outcome],
    version: tuple[int, ...] = NEW,
    race: bool = False,
    seconds: float = 9.2,
) -> Record:
    totals = Totals()
    for kind in Kind:
        totals.add(kind, Outcome.OK)
    for kind, outcome in lost:
        totals.add(kind, outcome, race=race)
    run = Run(contender, "full", "/usr/sbin/nginx", version, "TERM", seed)
    return Record(run, totals, [], seconds, 9.0, 0, killed=False, lag=0.01, output="")


RACE = (Kind.ENDLESS, Outcome.RESET)
REFUSED = (Kind.SHORT, Outcome.REFUSED)


def test_results_are_grouped_by_nginx_with_a_row_per_hook() -> None:
    records = [record("core", 2), record("none", 1, REFUSED, REFUSED, seconds=0.1)]
    records += [record("core", 1), record("core", 1, version=OLD)]
    new, old = report.groups(records)
    assert (new.version, old.version) == (NEW, OLD)
    assert [(row.name, row.trials, row.lost) for row in new.rows] == [
        ("none", 1, 2),
        ("core", 2, 0),
    ]
    assert new.rows[0].trials_with_a_loss == 1
    assert new.rows[0].beyond == pytest.approx(-8.9)
    _, _, head, _, none, core, *_ = report.markdown(new).splitlines()
    columns = [cell.strip() for cell in head.split("|")]
    assert none.split(" | ")[columns.index("short") - 1] == "2"
    assert core.split(" | ")[1:3] == ["0 of 2", "0 of 12"]


def test_an_old_nginxs_race_does_not_count_against_hooks() -> None:
    old = record("core", 1, RACE, version=OLD, race=True)
    new = record("core", 1, RACE, race=True)
    assert (old.races, old.avoidable) == (1, 0)
    assert (new.races, new.avoidable) == (0, 1)
    row = report.groups([old])[0].rows[0]
    assert (row.lost, row.lost_of(Kind.ENDLESS), row.races) == (0, 0, 1)


def test_charts_are_valid_svg() -> None:
    lossy = record("none", 1, REFUSED, seconds=0.1)
    for records in ([lossy, record("core", 1)], [record("core", 1)], [lossy]):
        root = ET.fromstring(chart.draw(report.groups(records)[0]))  # noqa: S314 - our own
        assert root.tag.endswith("svg")
        widths = [float(bar.get("width", "")) for bar in root.iter() if bar.tag.endswith("rect")]
        assert min(widths) >= 0


def test_the_bar_rejects_losses_delays_and_missing_trials() -> None:
    every = [record(name, seed) for name in bar.CONTENDER_NAMES for seed in (1, 2)]
    assert bar.judge(every, trials=2)[1] == []
    for worse, why in (
        (every[:-1], "alone: 1 trials instead of 2"),
        ([*every[1:], record("core", 1, REFUSED)], "1 lost in 2 trials"),
        ([*every[1:], record("core", 1, RACE, race=True)], "1 lost in 2 trials"),
        ([*every[2:], record("core", 1, seconds=9.5), record("core", 2, seconds=9.5)], "0.50 s"),
    ):
        (line,) = bar.judge(worse, trials=2)[1]
        assert why in line
    excused = [record(name, 1, RACE, version=OLD, race=True) for name in bar.CONTENDER_NAMES]
    good, bad = bar.judge(excused, trials=1)
    assert bad == []
    assert "1 by the keep-alive race" in good[0]


def test_an_interrupted_run_resumes(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    done, missing = record("core", 1, RACE, race=True), record("core", 2)
    Store(path, resume=False).add(done)
    store = Store(path, resume=True)
    assert store.records == [done]
    assert store.missing([done.run, missing.run]) == [missing.run]
    assert Store(path, resume=False).records == []
    path.write_text('{"run": 1}\n')
    with pytest.raises(RigError, match="cannot go on from"):
        Store(path, resume=True)


def test_the_bench_requires_root(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert hooks.main([]) == 2
    assert "not root" in capsys.readouterr().err


def test_every_contender_of_a_mix_is_defined() -> None:
    assert {name for mix in MIXES.values() for name in mix.contenders} == set(CONTENDERS)


@pytest.mark.root
def test_a_losing_and_a_lossless_hook_are_told_apart(
    tmp_path: Path, newest_nginx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAINMON_MIN_WAIT", "1s")
    monkeypatch.setenv("DRAINMON_QUIET", "300ms")
    chosen = ["--hook", "quit", "--hook", "alone", "--mix", "quick", "--nginx", str(newest_nginx)]
    assert hooks.main([*chosen, "--trials", "1", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    (table,) = results["tables"]
    losing, lossless = table["rows"]
    assert losing["lost"] > 0
    assert losing["lost_by_kind"][Kind.SHORT][Outcome.REFUSED] > 0
    assert losing["seconds_beyond_the_ideal_end"][0] < 0
    assert lossless["requests"] > 100
    assert lossless["lost"] == 0
    assert "| drainmon-wait alone | 0 of 1 |" in (tmp_path / "results.md").read_text()
    assert len(list(tmp_path.glob("*.svg"))) == 1


@pytest.mark.root
@pytest.mark.parametrize("contender", WAYS_IN)
def test_hooks_reach_the_daemon_by_each_way_in(
    tmp_path: Path, newest_nginx: Path, monkeypatch: pytest.MonkeyPatch, contender: str
) -> None:
    monkeypatch.setenv("DRAINMON_ON_MISSING", "fail")
    chosen = ["--hook", contender, "--mix", "quick", "--nginx", str(newest_nginx)]
    assert hooks.main([*chosen, "--trials", "1", "--out", str(tmp_path)]) == 0
    record = Record.from_json((tmp_path / "trials.jsonl").read_text())
    assert (record.totals.lost(), record.hook_exit) == (0, 0), record.output
    assert record.seconds > bar.MIN_WAIT_SECONDS
