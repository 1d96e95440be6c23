"""A world for the drain's state machine, with a fake clock."""

from collections.abc import Callable

import pytest

from drainmon.drain.demand import Demand, Phase
from drainmon.drain.machine import Action, Drain, Step
from drainmon.drain.nginx import Nginx
from drainmon.drain.policy import Policy
from drainmon.drain.roll import Outcome, Roll
from drainmon.model.ignored import Ignored
from drainmon.model.snapshot import Snapshot
from drainmon.model.standing import Socket
from tests.unit.sockets import snapshot

Sockets = Callable[[float], tuple[Socket, ...]]


class World:
    """Carries out the machine's actions in no time of its clock. `sockets` gives the sockets of a
    snapshot at a time."""

    def __init__(self, sockets: Sockets = lambda _: (), **policy: float | bool | Ignored) -> None:
        self.now = 100.0
        self.sockets = sockets
        self.drain = Drain(Policy(**policy), self.now)  # type: ignore[arg-type]
        self.first = self.drain.demands[0]
        self.looks: list[float] = []
        self.rolls: list[float] = []
        self.rolls_take_forever = False
        self.roll = Roll(Outcome.QUIT)
        self.listens = True
        self.nginx = Nginx()

    @property
    def elapsed(self) -> float:
        return self.now - 100.0

    def step(self) -> Step:
        step = self.drain.step(self.now)
        match step.action:
            case Action.LOOK:
                self.looks.append(self.elapsed)
                self.drain.saw(self.look(), self.nginx)
            case Action.ROLL:
                self.rolls.append(self.elapsed)
                if not self.rolls_take_forever:
                    self.drain.rolled(self.roll)
            case Action.SLEEP:
                assert step.until > self.now
            case Action.DONE:
                pass
        return step

    def look(self) -> Snapshot:
        seen = snapshot(self.now, *self.sockets(self.elapsed))
        return seen if self.listens else Snapshot(seen.taken, seen.finished, seen.sockets)

    def join(self, **policy: float | bool | Ignored) -> Demand:
        """Add a client now."""
        return self.drain.join(Policy(**policy), self.now)  # type: ignore[arg-type]

    def until(self, elapsed: float) -> None:
        """Let time pass, with the machine's actions."""
        for _ in range(10_000):
            step = self.step()
            if step.action is Action.DONE:
                return
            if step.action is Action.SLEEP:
                if step.until > 100.0 + elapsed:
                    self.now = 100.0 + elapsed
                    return
                self.now = step.until
        pytest.fail("the machine never sleeps")

    def run(self) -> tuple[Phase, float]:
        """Run to the end; returns the result and the time."""
        self.until(1e6)
        return self.drain.phase, round(self.elapsed, 3)


def arrivals(world: World, *times: float) -> None:
    for time in times:
        world.until(time)
        world.drain.arrived(100.0 + time)
