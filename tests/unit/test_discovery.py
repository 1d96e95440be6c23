"""The ports that nginx listens on, by its processes' sockets, masters first."""

import pytest

from drainmon.pods import discovery
from drainmon.pods.discovery import listening_ports
from drainmon.pods.pod import NginxProcess

MASTER, WORKER, HEIR = NginxProcess(10, 1, 5), NginxProcess(11, 10, 6), NginxProcess(12, 10, 7)
"""`HEIR` is the master of a binary upgrade (USR2): a child of the old one, like a worker."""


class Sockets:
    """The sockets that each process holds, and the listeners among them."""

    def __init__(self, listeners: dict[int, int], **held: set[int]) -> None:
        self.listeners = listeners
        self.held = {int(name[3:]): inodes for name, inodes in held.items()}
        self.asked: list[int] = []

    def inodes_of(self, pid: int) -> set[int]:
        self.asked.append(pid)
        if pid not in self.held:
            raise ProcessLookupError
        return self.held[pid]

    def ports(self, monkeypatch: pytest.MonkeyPatch) -> frozenset[int]:
        monkeypatch.setattr("drainmon.procfs.process.socket_inodes", self.inodes_of)
        monkeypatch.setattr(discovery, "listeners_of", lambda _: self.listeners)
        return listening_ports([WORKER, HEIR, MASTER])


def test_workers_are_not_inspected_if_the_master_holds_every_listener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sockets = Sockets({1: 80, 2: 443}, pid10={1, 2, 9}, pid11={1, 2, 3, 4})
    assert sockets.ports(monkeypatch) == {80, 443}
    assert sockets.asked == [10]


def test_other_processes_are_inspected_for_the_remaining_listeners(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sockets = Sockets({1: 80, 2: 8080, 3: 9000}, pid10={1}, pid11={1}, pid12={1, 2})
    assert sockets.ports(monkeypatch) == {80, 8080}


def test_ports_are_found_without_the_master(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Sockets({1: 80}, pid11={1}).ports(monkeypatch) == {80}
