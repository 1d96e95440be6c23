"""The demo's table: one row per hook, with its losses and its duration."""

from collections.abc import Callable, Sequence

from bench.rig.outcome import Kind
from bench.rig.trial import Trial
from bench.terminal import Terminal

Value = Callable[[Trial], str]

LOSSES: dict[str, Value] = {
    "short": lambda trial: _lost(trial, Kind.SHORT),
    "keep-alive": lambda trial: _lost(trial, Kind.KEEP_ALIVE),
    "slow reader": lambda trial: _lost(trial, Kind.SLOW_READER),
    "upstream": lambda trial: _lost(trial, Kind.SLOW_UPSTREAM),
    "endless": lambda trial: _lost(trial, Kind.ENDLESS),
}
AVOIDABLE: dict[str, Value] = {
    "endless": lambda trial: str(trial.totals.lost(Kind.ENDLESS) - trial.totals.races[Kind.ENDLESS])
}
BY_THE_RACE: dict[str, Value] = {"by the race": lambda trial: str(trial.totals.races[Kind.ENDLESS])}
REST: dict[str, Value] = {
    "requests": lambda trial: str(trial.totals.requests()),
    "seconds": lambda trial: f"{trial.termination.seconds:.1f}",
}


def render(trials: Sequence[Trial], terminal: Terminal, *, endless_can_race: bool) -> str:
    """The whole table, coloured as the terminal allows.

    With an nginx that can race, requests that endless clients lost to the race have a separate
    column, if there are any, instead of counting in "endless".
    """
    columns = LOSSES | REST
    if endless_can_race and any(trial.totals.races[Kind.ENDLESS] for trial in trials):
        columns = LOSSES | AVOIDABLE | BY_THE_RACE | REST
    title_width = max(len(trial.hook.title) for trial in trials)
    head = [f"{'hook':{title_width}}", *columns, "lost as"]
    lines = [terminal.strong("  ".join(head)), "  ".join("-" * len(cell) for cell in head)]
    for trial in trials:
        cells = [f"{trial.hook.title:{title_width}}"]
        for title, value in columns.items():
            text = value(trial)
            cell = f"{text:>{len(title)}}"
            if title in LOSSES:
                cell = terminal.good(cell) if text == "0" else terminal.bad(cell)
            cells.append(cell)
        lines.append("  ".join([*cells, _losses(trial)]))
    return "\n".join(lines)


def _lost(trial: Trial, kind: Kind) -> str:
    return str(trial.totals.lost(kind))


def _losses(trial: Trial) -> str:
    losses = trial.totals.losses()
    return ", ".join(f"{count} {outcome}" for outcome, count in losses.most_common()) or "nothing"
