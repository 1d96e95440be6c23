"""The loaded programs, as read by tests."""

import os
from collections import Counter

from bench.rig.netns import Netns
from drainmon.kernel import netns
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.wire import PORT_COUNTERS, CountedAs, PortCounters
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import TcpState
from drainmon.sources.records import Records
from tests.kernel.pair import PORT

_NAMES = {number.value: number.name for number in (*TcpState, *CountedAs)}


class Probe:
    """The programs with their events, and their view of one namespace. PORT is counted in the given
    namespaces."""

    def __init__(self, *counted: Netns) -> None:
        self.events: list[tuple[int, int]] = []
        self.conntrack = Conntrack(lambda *event: self.events.append(event))
        for namespace in counted:
            assert self.conntrack.add_port(namespace.inode, PORT)

    def read(self, namespace: Netns, port: int = PORT) -> PortCounters:
        """The counters of a port; zeros where the port is not counted."""
        counters = self.conntrack.counters(namespace.inode, port)
        if counters is None:
            return PortCounters()
        return PortCounters.from_buffer_copy(PORT_COUNTERS.pack(*counters))

    def counters(self, namespace: Netns, port: int = PORT) -> Counter[str]:
        """Counters by state. A connection from before may decrement without an increment."""
        by_state = self.read(namespace, port).by_state
        return Counter({_NAMES[state]: n for state, n in enumerate(by_state) if n})

    def accepted(self, namespace: Netns, port: int = PORT) -> int:
        return int(self.read(namespace, port).accepted)

    def arrivals(self, namespace: Netns, port: int = PORT) -> int:
        return int(self.read(namespace, port).arrivals)

    def snapshot(self, namespace: Netns, port: int = PORT, every_port: bool = False) -> Snapshot:
        fd = os.open(namespace.path, os.O_RDONLY)
        try:
            records = netns.call_in(fd, lambda: self.conntrack.read_snapshot(every_port))
        finally:
            os.close(fd)
        found = Records()
        found.add(b"".join(records), frozenset({port}))
        return Snapshot(
            0.0, 0.0, tuple(found.sockets), tuple(found.listeners), time_wait=found.time_wait
        )

    def taken_events(self) -> list[tuple[int, int]]:
        self.conntrack.consume_events()
        taken, self.events = self.events, []
        return taken
