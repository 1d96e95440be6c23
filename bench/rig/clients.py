"""The clients of a pod that is stopped: one coroutine per kind.

Each client learns of the termination after its own delay. Until then it opens connections;
afterwards it finishes its requests and opens no more. Delay and habits follow from the seed, the
kind and the client's number alone: every hook meets the same traffic.
"""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.rig.exchange import Connection
from bench.rig.news import News
from bench.rig.outcome import Disclaimed, Kind, Lost, Outcome, Totals

if TYPE_CHECKING:
    from bench.rig.http3.connection import Http3Connection

THINK_SECONDS = (0.005, 0.05)
UPSTREAM_SECONDS = (2.0, 3.0)
STREAM_PAUSE_SECONDS = 0.2
BACKOFF_SECONDS = 0.25
SLOW_RECEIVE_BUFFER = 32_768


@dataclass(frozen=True)
class LoadSpec:
    """The clients of a run; 0 leaves a kind out. Seconds, bytes and bytes/s."""

    address: str = "127.0.0.1"
    port: int = 80
    upstream_port: int = 9000
    http3: bool = False
    """Over QUIC, where the server must send slowly for a slow reader and cannot upgrade."""
    short_rate: float = 200.0
    """New connections per second, at random times."""
    short_clients: int = 20
    """Clients that share that rate; each learns of the termination separately."""
    keep_alive: int = 8
    endless: int = 4
    slow_readers: int = 12
    slow_upstream: int = 6
    streams: int = 0
    stream_seconds: float = 8.0
    """A stream's longest life before its client ends it; the shortest is half of it."""
    never_used: int = 0
    """Connections opened in advance, as by browsers, that never send anything."""
    slow_rate: float = 250_000.0
    slow_stagger: float = 4.0
    """The period in which the slow readers begin."""
    earliest: float = 0.1
    propagation: float = 5.0
    """When the first and the last client learn of the termination."""
    patience: float = 3.0
    """How long a client waits without progress."""
    round_trip: float = 0.002
    limit: float = 120.0
    """When the load stops by itself."""
    seed: int = 1


@dataclass(frozen=True)
class Client:
    """One client: when it learns of the termination, and its random numbers."""

    news: News
    delay: float
    random: random.Random

    def learned(self) -> bool:
        return self.news.reached(self.delay)


@dataclass
class Load:
    """State shared by all clients of a run. `report` receives each lost request as it happens."""

    spec: LoadSpec
    report: Callable[[Kind, Lost, bool], None]
    news: News = field(default_factory=News)
    totals: Totals = field(default_factory=Totals)
    last_reply: float = -math.inf
    """When the last byte reached a client that leaves by itself; the loop's time."""

    def ideal_end(self) -> float:
        """The pod's earliest end without a loss; the loop's time.

        By then every client has learned of the termination, and clients that leave by themselves
        have left. Endless clients have no end of their own: a hook has to end them without a loss,
        and may do so at once.
        """
        longest = max((client.delay for _, client in self.crowd()), default=0.0)
        return max(self.news.terminated_at + longest, self.last_reply)

    def crowd(self) -> Iterator[tuple[Kind, Client]]:
        """Every client that sends something."""
        spec = self.spec
        counts = {
            Kind.SHORT: spec.short_clients if spec.short_rate else 0,
            Kind.KEEP_ALIVE: spec.keep_alive,
            Kind.ENDLESS: spec.endless,
            Kind.SLOW_READER: spec.slow_readers,
            Kind.SLOW_UPSTREAM: spec.slow_upstream,
            Kind.STREAM: spec.streams,
        }
        for kind, count in counts.items():
            for number in range(count):
                own = random.Random(f"{spec.seed} {kind} {number}")
                yield kind, Client(self.news, own.uniform(spec.earliest, spec.propagation), own)

    def clients(self) -> Iterator[Coroutine[None, None, None]]:
        behaviours = {
            Kind.SHORT: self._short,
            Kind.KEEP_ALIVE: self._keep_alive,
            Kind.ENDLESS: self._endless,
            Kind.SLOW_READER: self._slow_reader,
            Kind.SLOW_UPSTREAM: self._slow_upstream,
            Kind.STREAM: self._stream,
        }
        for kind, client in self.crowd():
            yield behaviours[kind](client)

    async def never_used(self) -> None:
        """Hold connections on which nothing is sent, until the peer closes them."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.spec.never_used):
                group.create_task(self._never_use())

    async def _never_use(self) -> None:
        with await self._open() as connection:
            await connection.end()

    async def _short(self, client: Client) -> None:
        rate = self.spec.short_rate / self.spec.short_clients
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            due += client.random.expovariate(rate)
            await asyncio.sleep(due - clock())
            if client.learned():
                return
            await self._once(Kind.SHORT, "/")
            due = max(due, clock() - 1 / rate)  # late, but never a burst to catch up

    async def _slow_reader(self, client: Client) -> None:
        # Out of step, so that at every moment some replies are near their end and held by the
        # kernel.
        await asyncio.sleep(client.random.uniform(0, self.spec.slow_stagger))
        while not client.learned():
            await self._once(
                Kind.SLOW_READER,
                "/file",
                rate=self.spec.slow_rate,
                receive_buffer=SLOW_RECEIVE_BUFFER,
            )

    async def _slow_upstream(self, client: Client) -> None:
        while not client.learned():
            delay = client.random.uniform(*UPSTREAM_SECONDS)
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
        """One request on its own connection."""
        try:
            with await self._open(receive_buffer) as connection:
                await connection.get(path, last=True, rate=rate, patience=patience)
        except Disclaimed:
            return
        except Lost as lost:
            self._lost(kind, lost)
            if kind is not Kind.SHORT:  # short requests keep their rate
                await asyncio.sleep(BACKOFF_SECONDS)
        else:
            self._served(kind, connection)

    async def _stream(self, client: Client) -> None:
        longest = self.spec.stream_seconds
        await asyncio.sleep(client.random.uniform(0, longest / 4))
        while not client.learned():
            seconds = client.random.uniform(longest / 2, longest)
            try:
                with await self._open_tcp() as connection:
                    await connection.stream("/stream", seconds, STREAM_PAUSE_SECONDS)
            except Lost as lost:
                self._lost(Kind.STREAM, lost)
                await asyncio.sleep(BACKOFF_SECONDS)
            else:
                self._served(Kind.STREAM, connection)

    async def _keep_alive(self, client: Client) -> None:
        await self._persistent(Kind.KEEP_ALIVE, client, client.learned)

    async def _endless(self, client: Client) -> None:
        await self._persistent(Kind.ENDLESS, client, lambda: self.news.stopped)

    async def _persistent(self, kind: Kind, client: Client, finished: Callable[[], bool]) -> None:
        """Requests on one connection until `finished`; a new one until the client has learned."""
        await asyncio.sleep(client.random.uniform(*THINK_SECONDS))
        while not client.learned():
            try:
                connection = await self._open()
            except Lost as lost:
                self._lost(kind, lost)
                await asyncio.sleep(BACKOFF_SECONDS)
                continue
            with connection:
                await self._converse(kind, client, connection, finished)

    async def _converse(
        self,
        kind: Kind,
        client: Client,
        connection: "Connection | Http3Connection",
        finished: Callable[[], bool],
    ) -> None:
        reused = False
        while not finished() and not connection.hung_up():
            if reused:
                # Stands for network latency, which a veth lacks: a close by the server from here on
                # is unknown to this client before it sends.
                await asyncio.sleep(self.spec.round_trip)
            try:
                keep = await connection.get("/", last=False)
            except Disclaimed:
                return
            except Lost as lost:
                self._lost(kind, lost, race=reused and lost.outcome is Outcome.RESET)
                return
            self._served(kind, connection)
            if not keep:
                return
            reused = True
            await asyncio.sleep(client.random.uniform(*THINK_SECONDS))

    async def _open(self, receive_buffer: int | None = None) -> "Connection | Http3Connection":
        if self.spec.http3:
            # The demo runs without aioquic.
            from bench.rig.http3.connection import Http3Connection  # noqa: PLC0415

            return await Http3Connection.open(self.spec.address, self.spec.port, self.spec.patience)
        return await self._open_tcp(receive_buffer)

    async def _open_tcp(self, receive_buffer: int | None = None) -> Connection:
        return await Connection.open(
            self.spec.address, self.spec.port, self.spec.patience, receive_buffer
        )

    def _served(self, kind: Kind, connection: "Connection | Http3Connection") -> None:
        self.totals.add(kind, Outcome.OK)
        if kind is not Kind.ENDLESS:
            self.last_reply = max(self.last_reply, connection.whole_at)

    def _lost(self, kind: Kind, lost: Lost, *, race: bool = False) -> None:
        self.totals.add(kind, lost.outcome, race=race)
        self.report(kind, lost, race)
