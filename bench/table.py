"""The demo's table: one row per hook, what it lost and how long it took."""

from collections.abc import Callable, Sequence

from bench.rig.outcome import Kind
from bench.rig.trial import Trial
from bench.terminal import Terminal

COLUMNS: tuple[tuple[str, Callable[[Trial], str]], ...] = (
    ("short", lambda trial: _lost(trial, Kind.SHORT)),
    ("keep-alive", lambda trial: _lost(trial, Kind.KEEP_ALIVE)),
    ("slow reader", lambda trial: _lost(trial, Kind.SLOW_READER)),
    ("upstream", lambda trial: _lost(trial, Kind.SLOW_UPSTREAM)),
    ("endless", lambda trial: _lost(trial, Kind.ENDLESS)),
    ("requests", lambda trial: str(trial.totals.requests())),
    ("seconds", lambda trial: f"{trial.termination.seconds:.1f}"),
)
LOSS_COLUMNS = 5


def render(trials: Sequence[Trial], terminal: Terminal) -> str:
    """The whole table, coloured as the terminal allows."""
    title_width = max(len(trial.hook.title) for trial in trials)
    head = [f"{'hook':{title_width}}", *(title for title, _ in COLUMNS), "lost as"]
    lines = [terminal.strong("  ".join(head)), "  ".join("-" * len(cell) for cell in head)]
    for trial in trials:
        cells = [f"{trial.hook.title:{title_width}}"]
        for number, (title, value) in enumerate(COLUMNS):
            text = value(trial)
            cell = f"{text:>{len(title)}}"
            if number < LOSS_COLUMNS:
                cell = terminal.good(cell) if text == "0" else terminal.bad(cell)
            cells.append(cell)
        lines.append("  ".join([*cells, _losses(trial)]))
    return "\n".join(lines)


def _lost(trial: Trial, kind: Kind) -> str:
    return str(trial.totals.lost(kind))


def _losses(trial: Trial) -> str:
    losses = trial.totals.losses()
    return ", ".join(f"{count} {outcome}" for outcome, count in losses.most_common()) or "nothing"
