"""The load, a process inside the client's netns: `python -m bench.rig.load --spec JSON`.

stdin, one word a line: `terminate` (the pod's termination begins now), `gone` (the pod has ended),
`stop` (the run is over; the end of stdin means the same). stdout, one JSON object a line: {"ready":
true}, {"progress": totals}, {"loss": ...} for the first `REPORTED_LOSSES`, and finally {"result":
totals, "cpu_seconds": s, "seconds": s, "ideal_end": a time of time.monotonic(), or null without a
termination, "lag": the load's greatest delay in seconds}.
"""

import argparse
import asyncio
import json
import math
import resource
import sys
import time
from contextlib import suppress

from bench.rig import upstream
from bench.rig.clients import Load, LoadSpec
from bench.rig.news import News
from bench.rig.outcome import Kind, Lost

PROGRESS_SECONDS = 0.5
REPORTED_LOSSES = 100
LAG_SECONDS = 0.02


class Lag:
    """The greatest delay of this process; on an overloaded machine, its numbers are wrong."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def measure(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.seconds = max(self.seconds, clock() - due)


class Reporter:
    """Writes one line per loss, up to a limit."""

    def __init__(self, news: News) -> None:
        self._news = news
        self._left = REPORTED_LOSSES

    def __call__(self, kind: Kind, lost: Lost, race: bool) -> None:
        if self._left:
            self._left -= 1
            after = round(self._news.age(), 3) if self._news.reached(0) else None
            say(loss={"kind": kind, "what": str(lost), "race": race, "after": after})


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


async def run(spec: LoadSpec) -> None:
    """Run all clients until they are done; OSError and RigError are the rig's own failures."""
    news = News()
    load = Load(spec, Reporter(news), news)
    loop = asyncio.get_running_loop()
    loop.call_later(spec.limit, news.stop)
    lag = Lag()
    started = time.monotonic()
    async with upstream.serve(spec.upstream_port):
        say(ready=True)
        aside = (_obey(news), _progress(load), lag.measure(), load.never_used())
        side = [asyncio.create_task(coroutine) for coroutine in aside]
        try:
            async with asyncio.TaskGroup() as group:
                for client in load.clients():
                    group.create_task(client)
            if spec.never_used:  # a client that never sends has no reason to leave
                await news.gone.wait()
        finally:
            for task in side:
                task.cancel()
            await asyncio.gather(*side, return_exceptions=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    ideal_end = load.ideal_end()
    say(
        result=load.totals.to_json(),
        cpu_seconds=used.ru_utime + used.ru_stime,
        seconds=time.monotonic() - started,
        ideal_end=ideal_end if math.isfinite(ideal_end) else None,
        lag=lag.seconds,
    )


async def _obey(news: News) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        match line.strip():
            case b"terminate":
                news.terminate()
            case b"gone":
                news.gone.set()
            case b"stop":
                news.stop()
    news.stop()


async def _progress(load: Load) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        say(progress=load.totals.to_json())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="a LoadSpec as JSON")
    spec = LoadSpec(**json.loads(parser.parse_args().spec))
    with suppress(BrokenPipeError, KeyboardInterrupt):  # the parent is gone
        asyncio.run(run(spec))


if __name__ == "__main__":
    main()
