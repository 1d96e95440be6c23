"""What one trial was and what it cost: a line of JSON each, so that a long run can be resumed."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bench.rig import nginx as nginx_binaries
from bench.rig.errors import RigError
from bench.rig.outcome import Kind, Totals


@dataclass(frozen=True)
class Run:
    """One trial to run. The same seed means the same traffic, whichever the hook."""

    contender: str
    mix: str
    nginx: str
    """The path of the binary."""
    version: tuple[int, ...]
    stop_signal: str
    seed: int

    @property
    def can_race(self) -> bool:
        """Whether this nginx closes idle keep-alive connections without notice."""
        return self.version < nginx_binaries.KEEPALIVE_MIN_TIMEOUT


@dataclass(frozen=True)
class Record:
    """A trial's outcome; seconds count from the hook's start."""

    run: Run
    totals: Totals
    losses: list[dict[str, Any]]
    """The first lost requests: kind, what, race, seconds after the termination's start."""
    seconds: float
    """Until nginx was gone."""
    ideal_end: float
    """The earliest end without a loss."""
    hook_exit: int | None
    killed: bool
    lag: float
    """The clients' greatest delay in seconds; a large one makes the numbers doubtful."""
    output: str
    """The hook's output, if requests were lost."""

    @property
    def races(self) -> int:
        """Requests of endless clients that were in transit when nginx closed the connection."""
        return self.totals.races[Kind.ENDLESS] if self.run.can_race else 0

    @property
    def avoidable(self) -> int:
        """Lost requests that a hook could have saved."""
        return self.totals.lost() - self.races

    @property
    def beyond(self) -> float:
        """Seconds that the pod lived longer than necessary; negative when it was cut short."""
        return self.seconds - self.ideal_end

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"totals": self.totals.to_json()})

    @classmethod
    def from_json(cls, line: str) -> Self:
        value = json.loads(line)
        run = value.pop("run")
        run["version"] = tuple(run["version"])
        return cls(**value | {"run": Run(**run), "totals": Totals.from_json(value["totals"])})


class Store:
    """The records of a run, in a file."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        """Raises RigError when the file is not a store's."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            path.unlink(missing_ok=True)
        try:
            lines = path.read_text().splitlines() if path.exists() else []
            self.records = [Record.from_json(line) for line in lines]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RigError(f"cannot go on from {path}: {error!r}") from error

    def add(self, record: Record) -> None:
        self.records.append(record)
        with self.path.open("a") as file:
            file.write(record.to_json() + "\n")

    def missing(self, runs: Iterable[Run]) -> list[Run]:
        done = {record.run for record in self.records}
        return [run for run in runs if run not in done]
