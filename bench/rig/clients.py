"""The clients of a pod that is told to stop: one coroutine per kind.

Each one learns of the termination after a delay of its own. Until then it opens
connections; afterwards it finishes what it has and opens no more.
"""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field

from bench.rig.exchange import Connection
from bench.rig.outcome import Kind, Lost, Outcome, Totals

SHORT_CLIENTS = 20
THINK_SECONDS = (0.005, 0.05)
UPSTREAM_SECONDS = (2.0, 3.0)
BACKOFF_SECONDS = 0.25
SLOW_RECEIVE_BUFFER = 32_768


@dataclass(frozen=True)
class LoadSpec:
    """Who sends what to whom; 0 leaves a kind out. Seconds, bytes and bytes/s."""

    address: str = "127.0.0.1"
    port: int = 80
    upstream_port: int = 9000
    short_rate: float = 200.0
    """New connections per second."""
    keep_alive: int = 8
    endless: int = 4
    slow_readers: int = 12
    slow_upstream: int = 6
    slow_rate: float = 250_000.0
    slow_stagger: float = 4.0
    """Within which time the slow readers begin."""
    earliest: float = 0.1
    propagation: float = 5.0
    """When the first and the last client learn of the termination."""
    patience: float = 3.0
    """How long a client waits without progress."""
    round_trip: float = 0.002
    limit: float = 120.0
    """When the load stops by itself."""
    seed: int = 1


class News:
    """When the pod's termination began, if it has; and whether the run is over."""

    def __init__(self) -> None:
        self.terminated_at = math.inf
        self.stopped = False

    def terminate(self) -> None:
        self.terminated_at = min(self.terminated_at, asyncio.get_running_loop().time())

    def stop(self) -> None:
        self.stopped = True

    def age(self) -> float:
        """Seconds since the termination began; -inf before it."""
        return asyncio.get_running_loop().time() - self.terminated_at

    def reached(self, delay: float) -> bool:
        return self.stopped or self.age() >= delay


@dataclass
class Load:
    """What all clients of a run share. `report` hears of each lost request as it happens."""

    spec: LoadSpec
    report: Callable[[Kind, Lost, bool], None]
    news: News = field(default_factory=News)
    totals: Totals = field(default_factory=Totals)

    def __post_init__(self) -> None:
        self.random = random.Random(self.spec.seed)

    def clients(self) -> Iterator[Coroutine[None, None, None]]:
        spec = self.spec
        if spec.short_rate:
            for _ in range(SHORT_CLIENTS):
                yield self._short(self._learning())
        for _ in range(spec.keep_alive):
            learned = self._learning()
            yield self._persistent(Kind.KEEP_ALIVE, learned, finished=learned)
        for _ in range(spec.endless):
            yield self._persistent(Kind.ENDLESS, self._learning(), lambda: self.news.stopped)
        for _ in range(spec.slow_readers):
            yield self._slow_reader(self._learning())
        for _ in range(spec.slow_upstream):
            yield self._slow_upstream(self._learning())

    def _learning(self) -> Callable[[], bool]:
        delay = self.random.uniform(self.spec.earliest, self.spec.propagation)
        return lambda: self.news.reached(delay)

    async def _short(self, learned: Callable[[], bool]) -> None:
        period = SHORT_CLIENTS / self.spec.short_rate
        clock = asyncio.get_running_loop().time
        due = clock() + self.random.uniform(0, period)
        while True:
            await asyncio.sleep(due - clock())
            if learned():
                return
            await self._once(Kind.SHORT, "/")
            due = max(due + period, clock() - period)  # late, but never a burst to catch up

    async def _slow_reader(self, learned: Callable[[], bool]) -> None:
        # Out of step: at every moment some are near their end, with all of it in the kernel.
        await asyncio.sleep(self.random.uniform(0, self.spec.slow_stagger))
        while not learned():
            await self._once(
                Kind.SLOW_READER,
                "/file",
                rate=self.spec.slow_rate,
                receive_buffer=SLOW_RECEIVE_BUFFER,
            )

    async def _slow_upstream(self, learned: Callable[[], bool]) -> None:
        while not learned():
            delay = self.random.uniform(*UPSTREAM_SECONDS)
            await self._once(
                Kind.SLOW_UPSTREAM,
                f"/slow-upstream?delay={delay:.3f}",
                patience=delay + self.spec.patience,
            )

    async def _once(
        self,
        kind: Kind,
        path: str,
        *,
        rate: float = math.inf,
        patience: float | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        """One request on a connection of its own."""
        try:
            with await self._open(receive_buffer) as connection:
                await connection.get(path, last=True, rate=rate, patience=patience)
        except Lost as lost:
            self._lost(kind, lost)
            if kind is not Kind.SHORT:  # those keep their rate
                await asyncio.sleep(BACKOFF_SECONDS)
        else:
            self.totals.add(kind, Outcome.OK)

    async def _persistent(
        self, kind: Kind, learned: Callable[[], bool], finished: Callable[[], bool]
    ) -> None:
        """Requests on one connection until it is `finished`; a new one until it has `learned`."""
        await asyncio.sleep(self.random.uniform(*THINK_SECONDS))
        while not learned():
            try:
                connection = await self._open()
            except Lost as lost:
                self._lost(kind, lost)
                await asyncio.sleep(BACKOFF_SECONDS)
                continue
            with connection:
                await self._converse(kind, connection, finished)

    async def _converse(
        self, kind: Kind, connection: Connection, finished: Callable[[], bool]
    ) -> None:
        reused = False
        while not finished() and not connection.hung_up():
            if reused:
                # Stands for the network's latency, which a veth has none of: what the
                # server closes from here on, this client cannot know before it sends.
                await asyncio.sleep(self.spec.round_trip)
            try:
                keep = await connection.get("/", last=False)
            except Lost as lost:
                self._lost(kind, lost, race=reused and lost.outcome is Outcome.RESET)
                return
            self.totals.add(kind, Outcome.OK)
            if not keep:
                return
            reused = True
            await asyncio.sleep(self.random.uniform(*THINK_SECONDS))

    async def _open(self, receive_buffer: int | None = None) -> Connection:
        return await Connection.open(
            self.spec.address, self.spec.port, self.spec.patience, receive_buffer
        )

    def _lost(self, kind: Kind, lost: Lost, *, race: bool = False) -> None:
        self.totals.add(kind, lost.outcome, race=race)
        self.report(kind, lost, race)
