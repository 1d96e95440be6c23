"""Workers that are told to quit, and what nginx makes of it: made up."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from drainmon.daemon import quitting
from drainmon.drain.roll import STUCK, Outcome, Roll, no_memory
from drainmon.pods.pod import NginxProcess

MASTER = NginxProcess(10, 1, 100)
A, B, C, D = (NginxProcess(pid, 10, 101) for pid in (11, 12, 13, 14))
QUIT = Roll(Outcome.QUIT)


class Nginx:
    """Its master and workers; `does` is called with each signal that one of them gets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.accepting, self.quitting = {A, B}, set[NginxProcess]()
        self.signals: list[tuple[NginxProcess, signal.Signals]] = []
        self.lacks: Roll | None = None
        self.does: Callable[[NginxProcess], object] = self.ends
        self._new = iter((C, D))
        monkeypatch.setattr(quitting, "workers", lambda master: frozenset(self.accepting))
        monkeypatch.setattr(
            quitting, "is_running", lambda worker: worker in self.accepting | self.quitting
        )
        for name, seconds in (("REACT_WITHIN", 0.2), ("HELD_AFTER", 0.05), ("LOOK_SOON", 0.001)):
            monkeypatch.setattr(quitting, name, seconds)

    def ends(self, process: NginxProcess) -> None:
        self.accepting.discard(process)
        self.accepting.add(next(self._new))

    def is_held(self, process: NginxProcess) -> None:
        """By a connection; a reload starts new workers."""
        if process == MASTER:
            self.quitting |= self.accepting & {A, B}
            self.accepting = {C, D}
        else:
            self.accepting.discard(process)
            self.quitting.add(process)

    def tell(self, process: NginxProcess, number: signal.Signals) -> None:
        self.signals.append((process, number))
        self.does(process)

    async def replace(self, *old: NginxProcess, udp: bool = False) -> Roll:
        async def lacks_memory() -> Roll | None:
            return self.lacks

        return await quitting.replace(MASTER, frozenset(old), self.tell, udp, lacks_memory)


@pytest.fixture
def nginx(monkeypatch: pytest.MonkeyPatch) -> Nginx:
    return Nginx(monkeypatch)


def told(*processes: NginxProcess) -> list[tuple[NginxProcess, signal.Signals]]:
    return [(process, signal.SIGQUIT) for process in processes]


async def test_one_after_the_other(nginx: Nginx) -> None:
    assert await nginx.replace(A, B) == QUIT
    assert nginx.signals == told(A, B)


async def test_held_workers_are_left_by_a_reload(nginx: Nginx) -> None:
    nginx.does = nginx.is_held
    assert await nginx.replace(A, B) == Roll(Outcome.RELOAD)
    assert nginx.signals == [*told(A), (MASTER, signal.SIGHUP)]


async def test_without_memory_the_last_one_goes_on(nginx: Nginx) -> None:
    nginx.does, nginx.lacks = nginx.is_held, no_memory(2, 1)
    with pytest.raises(TimeoutError):
        await within(0.5, nginx, A, B)
    assert nginx.signals == told(A)


async def test_nginx_that_serves_udp_is_not_reloaded(nginx: Nginx) -> None:
    nginx.does = nginx.is_held
    assert await nginx.replace(A, B, udp=True) == QUIT
    assert nginx.signals == told(A, B)


async def test_an_only_worker_with_udp_is_told_at_once(nginx: Nginx) -> None:
    nginx.accepting = {A}
    assert await nginx.replace(A, udp=True) == QUIT
    assert nginx.signals == told(A)


async def test_those_who_have_gone_by_themselves_are_replaced(nginx: Nginx) -> None:
    nginx.accepting = {C, D}
    assert await nginx.replace(A, B) == QUIT
    assert nginx.signals == []


async def test_all_who_were_told_do_nothing(nginx: Nginx) -> None:
    nginx.does = lambda process: None
    assert await nginx.replace(A, B, udp=True) == STUCK


async def test_one_that_does_nothing_beside_one_that_serves_is_not_all(nginx: Nginx) -> None:
    nginx.does, nginx.lacks = lambda process: None, no_memory(2, 1)
    with pytest.raises(TimeoutError):
        await within(0.5, nginx, A, B)


async def within(seconds: float, nginx: Nginx, *old: NginxProcess) -> None:
    async with asyncio.timeout(seconds):
        await nginx.replace(*old)
