"""The loaded programs as tests look at them."""

import os
from collections import Counter

from bench.rig.netns import Netns
from drainmon.kernel import netns
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.wire import CountedAs
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import TcpState
from drainmon.sources.core import Records
from tests.kernel.pair import PORT

_NAMES = {number.value: number.name for number in (*TcpState, *CountedAs)}


class Probe:
    """The programs with what they told, and their view of one namespace."""

    def __init__(self) -> None:
        self.events: list[tuple[int, int, int]] = []
        self.conntrack = Conntrack(lambda *event: self.events.append(event))

    def counters(self, namespace: Netns, port: int = PORT) -> Counter[str]:
        counters = self.conntrack.counters(namespace.inode, port)
        by_state = list(counters.by_state) if counters else []
        assert min(by_state, default=0) >= 0
        return Counter({_NAMES[state]: n for state, n in enumerate(by_state) if n})

    def accepted(self, namespace: Netns, port: int = PORT) -> int:
        counters = self.conntrack.counters(namespace.inode, port)
        return counters.accepted if counters else 0

    def arrivals(self, namespace: Netns, port: int = PORT) -> int:
        counters = self.conntrack.counters(namespace.inode, port)
        return counters.arrivals if counters else 0

    def snapshot(self, namespace: Netns, port: int = PORT) -> Snapshot:
        fd = os.open(namespace.path, os.O_RDONLY)
        try:
            records = netns.call_in(fd, self.conntrack.read_snapshot)
        finally:
            os.close(fd)
        found = Records()
        found.add(b"".join(records), frozenset({port}))
        return Snapshot(
            0.0, 0.0, tuple(found.sockets), tuple(found.listeners), time_wait=found.time_wait
        )

    def taken_events(self) -> list[tuple[int, int, int]]:
        self.conntrack.consume_events()
        taken, self.events = self.events, []
        return taken
