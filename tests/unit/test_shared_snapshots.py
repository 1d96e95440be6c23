"""Snapshots for people: one at a time, with pauses, even if a client disconnects."""

import asyncio
from dataclasses import replace

import pytest

from drainmon.model.snapshot import Snapshot
from drainmon.server.shared_snapshots import SharedSnapshots
from tests.unit.made_up import POD
from tests.unit.sockets import established, snapshot


class Taking:
    """A snapshot that ends on command."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def take(self) -> Snapshot:
        self.begun += 1
        await self.go.wait()
        return snapshot(100.0, established(98.0))


async def turns_of_the_loop() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_requests_for_the_same_pod_share_a_snapshot() -> None:
    shared, taking = SharedSnapshots(), Taking()
    taking.go.set()
    first, second = await asyncio.gather(shared.of(POD, taking.take), shared.of(POD, taking.take))
    assert first is second
    assert (first["total"], taking.begun) == (1, 1)


async def test_a_client_that_disconnects_does_not_end_a_shared_snapshot() -> None:
    shared, taking = SharedSnapshots(), Taking()
    first = asyncio.create_task(shared.of(POD, taking.take))
    await turns_of_the_loop()
    first.cancel()
    second = asyncio.create_task(shared.of(replace(POD, number=2), taking.take))
    await turns_of_the_loop()
    assert taking.begun == 1
    taking.go.set()
    assert (await second)["total"] == 1
    with pytest.raises(asyncio.CancelledError):
        await first
