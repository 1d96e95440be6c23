"""Workers that get signals, and a fake nginx's reactions."""

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
    """A master with workers; `does` is called for each process that gets a signal."""

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
        """A connection holds the worker; a reload starts new workers."""
        if process == MASTER:
            self.quitting |= self.accepting & {A, B}
            self.accepting = {C, D}
        else:
            self.accepting.discard(process)
            self.quitting.add(process)

    def send(self, process: NginxProcess, number: signal.Signals) -> None:
        self.signals.append((process, number))
        self.does(process)

    async def replace(self, *old: NginxProcess, udp: bool = False) -> Roll:
        async def lacks_memory() -> Roll | None:
            return self.lacks

        return await quitting.replace(MASTER, frozenset(old), self.send, udp, lacks_memory)


@pytest.fixture
def nginx(monkeypatch: pytest.MonkeyPatch) -> Nginx:
    return Nginx(monkeypatch)


def signals_to(*processes: NginxProcess) -> list[tuple[NginxProcess, signal.Signals]]:
    return [(process, signal.SIGQUIT) for process in processes]


async def test_workers_are_signalled_one_after_the_other(nginx: Nginx) -> None:
    assert await nginx.replace(A, B) == QUIT
    assert nginx.signals == signals_to(A, B)


async def test_held_workers_are_replaced_by_a_reload(nginx: Nginx) -> None:
    nginx.does = nginx.is_held
    assert await nginx.replace(A, B) == Roll(Outcome.RELOAD)
    assert nginx.signals == [*signals_to(A), (MASTER, signal.SIGHUP)]


async def test_without_memory_the_last_worker_is_not_signalled(nginx: Nginx) -> None:
    nginx.does, nginx.lacks = nginx.is_held, no_memory(2, 1)
    with pytest.raises(TimeoutError):
        await within(0.5, nginx, A, B)
    assert nginx.signals == signals_to(A)


async def test_nginx_that_serves_udp_is_not_reloaded(nginx: Nginx) -> None:
    nginx.does = nginx.is_held
    assert await nginx.replace(A, B, udp=True) == QUIT
    assert nginx.signals == signals_to(A, B)


async def test_an_only_worker_with_udp_is_signalled_at_once(nginx: Nginx) -> None:
    nginx.accepting = {A}
    assert await nginx.replace(A, udp=True) == QUIT
    assert nginx.signals == signals_to(A)


async def test_workers_that_ended_by_themselves_are_not_signalled(nginx: Nginx) -> None:
    nginx.accepting = {C, D}
    assert await nginx.replace(A, B) == QUIT
    assert nginx.signals == []


async def test_workers_that_do_not_react_are_stuck(nginx: Nginx) -> None:
    nginx.does = lambda process: None
    assert await nginx.replace(A, B, udp=True) == STUCK


async def test_one_worker_that_does_not_react_is_not_stuck(nginx: Nginx) -> None:
    nginx.does, nginx.lacks = lambda process: None, no_memory(2, 1)
    with pytest.raises(TimeoutError):
        await within(0.5, nginx, A, B)


async def within(seconds: float, nginx: Nginx, *old: NginxProcess) -> None:
    async with asyncio.timeout(seconds):
        await nginx.replace(*old)
