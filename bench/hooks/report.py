"""The records of a run as tables: a row per contender, as markdown and as JSON."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bench.hooks.contenders import CONTENDERS, MIXES
from bench.hooks.record import Record
from bench.rig.outcome import Kind, Outcome

LOSS_COLUMNS = {
    "short": Kind.SHORT,
    "keep-alive": Kind.KEEP_ALIVE,
    "endless": Kind.ENDLESS,
    "slow reader": Kind.SLOW_READER,
    "upstream": Kind.SLOW_UPSTREAM,
    "stream": Kind.STREAM,
}


@dataclass(frozen=True)
class Row:
    """All trials of one contender."""

    name: str
    records: tuple[Record, ...]

    @property
    def title(self) -> str:
        return CONTENDERS[self.name].title

    @property
    def trials(self) -> int:
        return len(self.records)

    @property
    def trials_with_a_loss(self) -> int:
        """Trials that lost a request which a hook could have saved."""
        return sum(record.avoidable > 0 for record in self.records)

    @property
    def requests(self) -> int:
        return sum(record.totals.requests() for record in self.records)

    @property
    def lost(self) -> int:
        """Lost requests without those of the keep-alive race, which no hook can save."""
        return sum(record.avoidable for record in self.records)

    @property
    def races(self) -> int:
        return sum(record.races for record in self.records)

    @property
    def beyond(self) -> float:
        """Median of seconds beyond the ideal end."""
        return round(statistics.median(record.beyond for record in self.records), 3) + 0.0

    def lost_of(self, kind: Kind) -> int:
        races = self.races if kind is Kind.ENDLESS else 0
        return sum(record.totals.lost(kind) for record in self.records) - races

    def to_json(self) -> dict[str, Any]:
        return {
            "hook": self.title,
            "name": self.name,
            "trials": self.trials,
            "trials_with_a_loss": self.trials_with_a_loss,
            "requests": self.requests,
            "lost": self.lost,
            "lost_by_kind": {kind: self._losses(kind) for kind in Kind},
            "keep_alive_races": self.races,
            "seconds_beyond_the_ideal_end": [round(record.beyond, 3) for record in self.records],
            "seconds": [round(record.seconds, 3) for record in self.records],
        }

    def _losses(self, kind: Kind) -> Counter[Outcome]:
        return sum((record.totals.losses(kind) for record in self.records), Counter[Outcome]())


@dataclass(frozen=True)
class Group:
    """The rows of one nginx, one mix and one stop signal."""

    version: tuple[int, ...]
    mix: str
    stop_signal: str
    rows: tuple[Row, ...]

    @property
    def can_race(self) -> bool:
        return self.rows[0].records[0].run.can_race

    @property
    def lag(self) -> float:
        """The greatest delay of any load in the group, in seconds."""
        return max(record.lag for row in self.rows for record in row.records)

    @property
    def title(self) -> str:
        keep_alive = "" if self.can_race else " with `keepalive_min_timeout 1s`"
        version = ".".join(map(str, self.version))
        return f"nginx {version}{keep_alive}, SIG{self.stop_signal}"

    @property
    def traffic(self) -> str:
        return MIXES[self.mix].title

    @property
    def slug(self) -> str:
        version = ".".join(map(str, self.version[:2]))
        return f"hooks-{self.mix}-{version}-{self.stop_signal.lower()}"

    def to_json(self) -> dict[str, Any]:
        return {
            "nginx": ".".join(map(str, self.version)),
            "mix": self.mix,
            "stop_signal": self.stop_signal,
            "longest_lag_seconds": round(self.lag, 3),
            "rows": [row.to_json() for row in self.rows],
        }


def groups(records: Iterable[Record]) -> list[Group]:
    """Newest nginx first; rows in the order of the contenders, trials in that of their seeds."""
    found: dict[tuple[tuple[int, ...], str, str], dict[str, list[Record]]] = {}
    for record in sorted(records, key=lambda record: record.run.seed):
        run = record.run
        rows = found.setdefault((run.version, run.mix, run.stop_signal), {})
        rows.setdefault(run.contender, []).append(record)
    return [
        Group(*key, tuple(Row(name, tuple(rows[name])) for name in CONTENDERS if name in rows))
        for key, rows in sorted(found.items(), key=lambda item: (item[0][0], item[0][1:]))[::-1]
    ]


def markdown(group: Group) -> str:
    """The group's table, without kinds that the mix does not have."""
    kinds = {
        title: kind
        for title, kind in LOSS_COLUMNS.items()
        if any(record.totals.requests(kind) for row in group.rows for record in row.records)
    }
    columns: dict[str, Callable[[Row], str]] = {
        "trials with a loss": lambda row: f"{row.trials_with_a_loss} of {row.trials}",
        "lost": lambda row: f"{row.lost} of {row.requests}",
    }
    if len(kinds) > 1:
        for title, kind in kinds.items():
            columns[title] = lambda row, kind=kind: str(row.lost_of(kind))  # type: ignore[misc]
    if group.can_race:
        columns["by the race"] = lambda row: str(row.races)
    columns["s beyond"] = lambda row: f"{row.beyond:.2f}"
    lines = [
        f"**{group.title}**: {group.traffic}",
        "",
        _line("hook", columns),
        _line("---", ["---:" for _ in columns]),
        *(_line(row.title, [value(row) for value in columns.values()]) for row in group.rows),
        "",
        f"The clients themselves were late by at most {group.lag:.2f} s.",
    ]
    return "\n".join(lines) + "\n"


def _line(first: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join((first, *cells))} |"
