"""Recognises connections to pods from the host's probing processes, by the state changes of both
ends. Pure.

A probing process is known when its socket begins to connect, its ports when that is established;
the accepting end, established only after it, has the same addresses reversed. A connection that is
not recognised is traffic: when an event is lost, all followed connections are forgotten."""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from drainmon.kernel.tcp_samples import ESTABLISHED, SYN_RECV, SYN_SENT, Transition
from drainmon.sources.reading import Ends

REMEMBERED = 4096
"""Connections of probes that are remembered at most, and sockets that have begun to connect."""


class Accepted(NamedTuple):
    """A probe's connection from the pod's view, and when it was established; the kernel counted its
    passive open a moment before."""

    time: float
    ends: Ends


class HostProbes:
    """`is_probe` returns whether a pid is a probing process of the host."""

    def __init__(self, is_probe: Callable[[int], bool]) -> None:
        self._is_probe = is_probe
        self._connecting: dict[int, None] = {}
        self._opened: dict[Ends, bool] = {}
        """Whether the pod has accepted it: its next accept with the same ends is not a probe's."""

    @property
    def connections(self) -> Collection[Ends]:
        """The ends of probes' connections, from the pods' view; some may have closed."""
        return self._opened.keys()

    def forget(self) -> None:
        """Forget everything after a loss: a socket or ports may be reused by another process."""
        self._connecting.clear()
        self._opened.clear()

    def add(self, ends: Ends, accepted: bool = True) -> None:
        """Add an open connection of a probe."""
        self._opened.pop(ends, None)
        self._opened[ends] = accepted
        _shorten(self._opened)

    def accepted(self, transitions: Iterable[Transition]) -> list[Accepted]:
        """The connections of probes that pods have accepted in these transitions."""
        found = []
        for one in transitions:
            if one.after == SYN_SENT:
                self._begin(one)
            elif one.after == ESTABLISHED and one.before == SYN_SENT:
                ends = (one.remote, one.remote_port, one.local, one.local_port)
                if one.socket in self._connecting:
                    del self._connecting[one.socket]
                    self.add(ends, accepted=False)
                else:
                    self._opened.pop(ends, None)
            elif one.after == ESTABLISHED and one.before == SYN_RECV:
                ends = (one.local, one.local_port, one.remote, one.remote_port)
                if self._opened.get(ends) is False:
                    self._opened[ends] = True
                    found.append(Accepted(one.time, ends))
                else:
                    self._opened.pop(ends, None)
        return found

    def _begin(self, one: Transition) -> None:
        self._connecting.pop(one.socket, None)
        if self._is_probe(one.pid):
            self._connecting[one.socket] = None
            _shorten(self._connecting)


class Explained:
    """Attributes passive opens of one pod to probes, from snapshot to snapshot."""

    def __init__(self) -> None:
        self._ahead = 0
        """Probes whose passive open has not been read yet."""

    def take(self, opens: int, probes: Collection[Accepted], read: float) -> int:
        """The number of probes among `opens` new passive opens. `probes` appeared since the last
        snapshot; the opens were read at `read`, and the samples after that."""
        known = self._ahead + len(probes)
        recognised = min(opens, known)
        # Older probes were reported as arrivals, and must not explain another open.
        self._ahead = min(known - recognised, sum(one.time > read for one in probes))
        return recognised


def _shorten(kept: dict[Ends, bool] | dict[int, None]) -> None:
    if len(kept) > REMEMBERED:
        del kept[next(iter(kept))]  # type: ignore[arg-type]
