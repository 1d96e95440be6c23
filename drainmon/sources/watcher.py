"""The state of one pod in source procfs, from snapshot to snapshot."""

import threading
import time
from collections.abc import Callable

from drainmon.kernel.sockmaps import Sockmaps
from drainmon.model.counts import Counts
from drainmon.model.ignored import Ignored
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import TcpState
from drainmon.pods.pod import Pod
from drainmon.procfs import net_files
from drainmon.procfs.net_snmp import parse_mptcp_handshakes, parse_passive_opens
from drainmon.sources import diag_reading, row_reading
from drainmon.sources.host_probes import Explained
from drainmon.sources.ignored_arrivals import IgnoredArrivals
from drainmon.sources.pod_net import PodNet
from drainmon.sources.probe_watch import ProbeWatch
from drainmon.sources.reading import WATCHED_WITHIN, Opened, Reading, Wanted

LOOK_SHARE = 20
"""Least time until counters are read again, in multiples of what the last snapshot took."""

Refused = Callable[[OSError], None]
"""Called when the kernel does not list sockets by sock_diag."""

_NEVER = float("-inf")


class Watcher:
    """Takes snapshots of one pod, in threads that hold `lock` meanwhile."""

    def __init__(self, refused: Refused, probes: ProbeWatch, sockmaps: Sockmaps) -> None:
        self.lock = threading.Lock()
        self.counts = Counts()
        self.ended = time.monotonic()
        self.local_ends: frozenset[tuple[bytes, int]] = frozenset()
        """The local addresses and ports on which the last snapshot found connections."""
        self._refused = refused
        self._probes = probes
        self._sockmaps = sockmaps
        self._explained = Explained()
        self._fresh_until = _NEVER
        self._counted: tuple[frozenset[int], IgnoredArrivals | None] = frozenset(), None
        """What the last snapshot was for: the ports, and the ignored connections."""
        self._opened: Opened = {}
        self._by_diag: bool | None = None
        """Whether the last snapshot read by sock_diag; the keys of connections depend on it."""
        self._opens: int | None = None
        self._ignored: IgnoredArrivals | None = None

    def ignore(self, ignored: Ignored) -> None:
        """Ignore these connections in later snapshots."""
        self._ignored = IgnoredArrivals(ignored) if ignored else None

    def outdated(self, pod: Pod, interval: float) -> bool:
        """Whether the last snapshot is older than `interval`, or was for other ports or ignored
        connections."""
        fresh_until = max(self._fresh_until, self.ended + interval)
        return self._counted != (pod.ports, self._ignored) or time.monotonic() > fresh_until

    def look(self, pod: Pod, place: PodNet) -> Snapshot:
        """A snapshot of the pod's sockets."""
        began = time.monotonic()
        ignored = self._ignored
        opens_before = _passive_opens(place, pod) if ignored else 0
        ports = pod.ports | ignored.ports if ignored else pod.ports
        reading = self._read(place, ports, began)
        # Read after the sockets, so that a connection made in between counts as an arrival.
        counted = time.monotonic()
        opens = _passive_opens(place, pod)
        ended = time.monotonic()
        # Read after the counter, so that samples cover all that it counts.
        probes = self._probes.accepted(pod.number)
        new = opens - self._opens if self._opens is not None else 0
        recognised = self._explained.take(new, probes, counted)
        new -= recognised
        _mark(reading, self._probes)
        if ignored:
            explained = {socket[:4] for socket in reading.sockets if socket.probe}.union(
                probe.ends for probe in probes
            )
            others = (s[:4] for s in reading.sockets if s.state is not TcpState.SYN_RECV)
            ignored.add(ends for ends in others if ends not in explained)
            ignored.add(ends for ends in reading.closed if ends not in explained)
            new = ignored.arrivals(new, opens - opens_before, ended)
            _keep_ports(reading, pod.ports)
        self.local_ends = frozenset(socket[:2] for socket in reading.sockets)
        snapshot = Snapshot(
            began,
            ended,
            reading.sockets,
            tuple(reading.listeners),
            in_parts=reading.in_parts,
            time_wait=reading.time_wait,
        )
        self._count(snapshot, opens, new, recognised)
        self._counted, self.ended = (pod.ports, ignored), ended
        self._fresh_until = ended + LOOK_SHARE * (ended - began)
        return snapshot

    def _read(self, place: PodNet, ports: frozenset[int], now: float) -> Reading:
        by_diag = place.diag is not None
        known = by_diag is self._by_diag
        wanted = Wanted(
            ports,
            closed=self._ignored is not None,
            opened=self._opened if known else {},
            watched=known and now - self.ended <= WATCHED_WITHIN,
        )
        if place.diag:
            mptcp = parse_mptcp_handshakes(net_files.read_whole(place.netstat))
            try:
                reading = diag_reading.read(place.diag, wanted, bool(mptcp))
                self._doubt_silence(reading)
            except OSError as error:
                if self._by_diag is not False:
                    self._refused(error)
                place.diag.close()
                place.diag = None
                return self._read(place, ports, now)
        else:
            reading = row_reading.read(place.tables, wanted)
        self._by_diag, self._opened = by_diag, reading.opened
        return reading

    def _doubt_silence(self, reading: Reading) -> None:
        """Mark byte counts of zero as unknown where a sockmap may carry data past TCP."""
        silent = [
            number
            for number, one in enumerate(reading.sockets)
            if one.bytes_received == one.bytes_sent == 0
        ]
        if silent and self._sockmaps.exist():
            for number in silent:
                one = reading.sockets[number]
                reading.sockets[number] = one._replace(bytes_received=None, bytes_sent=None)

    def _count(self, snapshot: Snapshot, opens: int, new: int, probes: int) -> None:
        if self._opens is None:
            self._opens = opens
        accepted, last = self.counts.accepted + opens - self._opens, self.counts.last_accept
        if last is None or new > 0:
            last = snapshot.finished
        self._opens = opens
        open_now = sum(socket.probe and not socket.minisocket for socket in snapshot.sockets)
        self.counts = Counts(
            snapshot.tally.connections,
            accepted,
            last,
            open_now,
            self.counts.probes_accepted + probes,
            self.counts.arrivals + new,
        )


def _mark(reading: Reading, probes: ProbeWatch) -> None:
    known = probes.connections
    for number, socket in enumerate(reading.sockets) if known else ():
        if socket[:4] in known:
            reading.sockets[number] = socket._replace(probe=True)


def _keep_ports(reading: Reading, ports: frozenset[int]) -> None:
    """Remove the sockets on ignored ports, which were read to recognise ignored arrivals."""
    reading.sockets = [socket for socket in reading.sockets if socket.local_port in ports]
    reading.listeners = [one for one in reading.listeners if one.local_port in ports]
    reading.time_wait = sum(ends[1] in ports for ends in reading.closed)


def _passive_opens(place: PodNet, pod: Pod) -> int:
    opens = parse_passive_opens(net_files.read_whole(place.snmp))
    if opens is None:
        raise OSError(f"cannot count arrivals of {pod.label}: no PassiveOpens in net/snmp")
    return opens
