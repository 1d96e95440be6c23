"""The demo's table and verdict; see test_load for its runs."""

import os
from pathlib import Path

import pytest

from bench import demo, table
from bench.rig.hooks import HOOKS
from bench.rig.outcome import Kind, Outcome, Totals
from bench.rig.pod import Termination
from bench.rig.trial import Trial
from bench.terminal import Terminal


def trial(hook: str, totals: Totals) -> Trial:
    end = Termination(
        hook_start=100.0, hook_end=109.0, hook_exit=0, nginx_exit=109.1, killed=False,
        teardown=109.2, output="",
    )  # fmt: skip
    return Trial(HOOKS[hook], totals, [], end, 109.0, 0.0, "")


def totals(lost: Outcome | None = None, kind: Kind = Kind.SHORT, *, race: bool = False) -> Totals:
    made = Totals()
    made.add(Kind.SHORT, Outcome.OK)
    if lost is not None:
        made.add(kind, lost, race=race)
    return made


def rendered(trials: list[Trial], *, can_race: bool) -> list[str]:
    return table.render(trials, Terminal(), endless_can_race=can_race).splitlines()


def test_the_table_has_the_losses_of_each_hook() -> None:
    trials = [trial("none", totals(Outcome.REFUSED)), trial("drainmon", totals())]
    head, _, without, with_drainmon = rendered(trials, can_race=True)
    assert "by the race" not in head
    assert without.split()[2:] == ["1", "0", "0", "0", "0", "2", "9.2", "1", "refused"]
    assert with_drainmon.split()[1:] == ["0", "0", "0", "0", "0", "1", "9.2", "nothing"]


def test_losses_to_the_race_have_a_separate_column() -> None:
    raced = totals(Outcome.RESET, Kind.ENDLESS, race=True)
    raced.add(Kind.ENDLESS, Outcome.REFUSED)
    trials = [trial("none", raced), trial("drainmon", totals())]
    head, _, without, with_drainmon = rendered(trials, can_race=True)
    assert "endless  by the race  requests" in head
    assert without.split()[2:9] == ["0", "0", "0", "0", "1", "1", "3"]
    assert with_drainmon.split()[1:8] == ["0", "0", "0", "0", "0", "0", "1"]
    head, _, without, _ = rendered(trials, can_race=False)
    assert "by the race" not in head
    assert without.split()[2:8] == ["0", "0", "0", "0", "2", "3"]


@pytest.mark.parametrize(
    ("made", "can_race", "status"),
    [
        (totals(), False, 0),
        (totals(Outcome.REFUSED), True, 1),
        (totals(Outcome.RESET, Kind.ENDLESS, race=True), False, 1),
        (totals(Outcome.RESET, Kind.ENDLESS, race=True), True, 0),
        (totals(Outcome.RESET, Kind.ENDLESS), True, 1),
        (totals(Outcome.RESET, Kind.KEEP_ALIVE, race=True), True, 1),
    ],
)
def test_the_verdict_is_the_exit_status(made: Totals, can_race: bool, status: int) -> None:
    trials = [trial("none", totals(Outcome.REFUSED)), trial("drainmon", made)]
    assert demo.verdict(trials, endless_can_race=can_race, terminal=Terminal()) == status


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--nginx", "/nonexistent"], "cannot run nginx: /nonexistent"),
        (["--client", "/nonexistent"], "cannot run drainmon-wait: /nonexistent"),
        (["--client", "/bin/true", "--socket", "/nonexistent"], "cannot use the daemon"),
    ],
)
@pytest.mark.root
def test_the_demo_reports_missing_programs(
    newest_nginx: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert demo.main([*arguments, "--hook", "drainmon"]) == 2
    assert f"demo: {why}" in capsys.readouterr().err


def test_the_demo_requires_root(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert demo.main([]) == 2
    assert "not root" in capsys.readouterr().err
