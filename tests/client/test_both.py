"""The daemon's and the client's drain make the same decisions at the same random moments.

They differ on purpose in three cases (ARCHITECTURE.md, "Specification of the drain"), which these
moments leave out: arrivals before the drain, because the daemon gets here what the client assumes;
stragglers, because every connection in flight is new; other drains and clients.
"""

from dataclasses import dataclass, replace

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from drainmon.drain.demand import Phase
from drainmon.drain.machine import Action, Drain
from drainmon.drain.newcomers import STILL_SENT, newcomers
from drainmon.drain.nginx import Nginx
from drainmon.drain.policy import Policy
from drainmon.drain.reasons import CUT, ENDED, FEW, NOT_SEEN, ROLLING, UDP, WAITING, reason
from drainmon.drain.roll import IGNORED, NO_WORKERS, STUCK, Outcome, Roll
from drainmon.model.snapshot import Snapshot
from tests.client.build import CLIENT
from tests.client.library import Library
from tests.unit.sockets import LISTENER, established

TICK = 125
"""Milliseconds: an eighth of a second is exact in binary."""

ROLLS = {
    "rolled": Roll(Outcome.QUIT), "roll_skipped": NO_WORKERS, "roll_failed": IGNORED,
    "stuck": STUCK,
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A drain's options, in ticks; `rolls` were made before, the last one at `rolled`."""

    timeout: int = 200
    min_wait: int = 40
    quiet: int = 12
    exit_at: int = 0
    roll: bool = True
    elapsed: int = 0
    rolls: int = 0
    rolled: int = 0


@dataclass(frozen=True)
class Moment:
    """Ticks since the last moment, and the result of a look; `outcome` is the outcome of a roll."""

    pause: int
    in_flight: int = 0
    arrives: bool = False
    udp_workers: int = 0
    udp_told: bool = False
    listens: bool = True
    lives: bool = True
    outcome: str = ""


ASKED = st.builds(
    Asked,
    timeout=st.integers(0, 150).map(lambda half: 2 * half),
    min_wait=st.integers(0, 100),
    quiet=st.integers(0, 30),
    exit_at=st.integers(0, 2),
    roll=st.booleans(),
    elapsed=st.integers(0, 60),
    rolls=st.integers(0, 3),
    rolled=st.integers(0, 60),
)
MOMENT = st.builds(
    Moment,
    pause=st.integers(1, 20),
    in_flight=st.sampled_from([0, 1, 1, 2, 3]),
    arrives=st.sampled_from([False, False, True]),
    udp_workers=st.sampled_from([0, 0, 0, 1]),
    udp_told=st.booleans(),
    listens=st.sampled_from([True, True, True, False]),
    lives=st.sampled_from([True, True, False]),
    outcome=st.sampled_from(["", *ROLLS, "rolled"]),
)


class Daemon:
    """The daemon's machine, with a look at each moment."""

    def __init__(self, asked: Asked) -> None:
        ticks = {"timeout", "min_wait", "quiet", "elapsed", "rolled"}
        times = {name: getattr(asked, name) * TICK / 1000 for name in ticks}
        policy = Policy(exit_at=asked.exit_at, roll=asked.roll, rolls=asked.rolls, **times)
        self._drain = Drain(policy, 0.0)
        self._last_arrival = policy.elapsed
        self._drain.arrived(self._last_arrival)

    def step(self, now: float, moment: Moment) -> str:
        if moment.arrives:
            self._last_arrival = now
            self._drain.arrived(now)
        sockets = tuple(established(self._last_arrival) for _ in range(moment.in_flight))
        snapshot = Snapshot(now, now, sockets, (LISTENER,) if moment.listens else ())
        nginx = Nginx(
            alive=moment.lives, udp_workers=moment.udp_workers, udp_quitting=moment.udp_told
        )
        self._drain.saw(snapshot, nginx)
        while (action := self._drain.step(now).action) is Action.LOOK:
            self._drain.saw(snapshot, nginx)
        if action is Action.DONE:
            return self._drain.phase.value
        return "roll" if action is Action.ROLL else "look"

    @property
    def is_rolling(self) -> bool:
        return self._drain.phase is Phase.ROLLING

    def roll_ended(self, roll: str) -> None:
        self._drain.rolled(ROLLS[roll])


@settings(max_examples=2000)
@given(asked=ASKED, moments=st.lists(MOMENT, min_size=1, max_size=80))
@example(Asked(min_wait=0, quiet=0), [Moment(1, 1), Moment(1, 1, outcome="stuck"), Moment(1, 1)])
def test_daemon_and_client_make_the_same_decisions(
    library: Library, asked: Asked, moments: list[Moment]
) -> None:
    daemon = Daemon(asked)
    times = {name: getattr(asked, name) * TICK for name in ("timeout", "min_wait", "quiet")}
    rolled = min(asked.rolled, asked.elapsed) if asked.rolls else 0
    now = asked.elapsed
    library.settle(
        **times, exit_at=asked.exit_at, roll=asked.roll,
        now=now * TICK, rolls=asked.rolls, rolled=rolled * TICK,
    )  # fmt: skip
    arrivals, history = 0, []
    for number, moment in enumerate(moments):
        now += moment.pause if number else 0
        arrives = moment.arrives and number > 0
        arrivals += arrives
        if daemon.is_rolling and moment.outcome:
            daemon.roll_ended(moment.outcome)
            getattr(library, moment.outcome)()
        seen = replace(moment, arrives=arrives)
        by_daemon = daemon.step(now * TICK / 1000, seen)
        by_client = library.step(
            now * TICK, moment.in_flight, arrivals, moment.udp_workers,
            udp_told=moment.udp_told, listens=moment.listens, lives=moment.lives,
        )  # fmt: skip
        history.append((now, by_daemon, by_client))
        assert by_daemon == by_client, history
        event(by_daemon)
        if by_daemon not in {"look", "roll"}:
            break


@given(
    ages=st.lists(st.integers(1, 25 * 8), max_size=6),
    last_arrival=st.integers(1, 10 * 8),
)
@example([8, 8, 8], 4)
@example([8, 8, 100, 200], 4)
@example([8, 8, 100, 250, 250], 4)
@example([8], 24)
@example([20 * 8], 1)
def test_daemon_and_client_report_newly_sent_clients_alike(
    library: Library, ages: list[int], last_arrival: int
) -> None:
    """`ages` are those of connections in flight at the deadline, in ticks, as is `last_arrival`."""
    end, last_arrival = 25 * 8, min([last_arrival, *ages])
    drain = Drain(Policy(roll=False), 0.0)
    (demand,) = drain.demands
    drain.arrived((end - last_arrival) * TICK / 1000)
    sockets = tuple(established((end - age) * TICK / 1000) for age in ages)
    drain.saw(Snapshot(24.9, 24.9, sockets, (LISTENER,)))
    drain.step(24.9)
    waits = reason(drain, demand, 24.9)
    drain.step(25.0)

    late = [end - age for age in ages if (end - age) * TICK > 5_000]
    library.settle(roll=False)
    library.step(0)
    library.step((end - last_arrival) * TICK, len(ages), arrivals=1)
    library.late(len(late), min(late, default=0) * TICK)
    library.step(24_900, len(ages), arrivals=1)
    if ages:
        assert (STILL_SENT in waits) == (STILL_SENT in library.reason(24_900))

    young = newcomers(drain, demand, 25.0) if ages else None
    assert (str(young) if young else None) == (library.newcomers(25_000) if ages else None)
    if young:
        assert reason(drain, demand, 25.0) == f"the timeout of 25 s is over; {young}"


@pytest.mark.parametrize("words", [CUT, ENDED, FEW, NOT_SEEN, ROLLING, UDP, WAITING, STUCK.why])
def test_the_client_gives_the_daemons_reasons(words: str) -> None:
    assert any(words in file.read_text() for file in CLIENT.glob("*.[ch]"))
