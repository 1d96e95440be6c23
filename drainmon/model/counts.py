"""Counts of a pod: its connections by state, and the connections that it has accepted."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from drainmon.model.tcp import IN_FLIGHT, TcpState

_EMPTY: Mapping[TcpState, int] = MappingProxyType({})


class Counts(NamedTuple):
    """Accepted connections by state, their total number, and the time of the last arrival
    (monotonic seconds). A source that has seen no arrival reports when it began to look; None:
    unknown.

    Probes are neither in `by_state` nor arrivals. `probes` counts those open now, `probes_accepted`
    those among `accepted`. `arrivals` counts accepted connections that are neither probes nor
    ignored, which is known a moment after the accept. `cut` counts connections in use that ended
    with the process that held them, `changes` all changes of state; each None where the source does
    not count them.
    """

    by_state: Mapping[TcpState, int] = _EMPTY
    accepted: int = 0
    last_accept: float | None = None
    probes: int = 0
    probes_accepted: int = 0
    arrivals: int = 0
    cut: int | None = None
    changes: int | None = None

    @property
    def in_flight(self) -> int:
        """Connections in a state in which data may be lost, unused and unreachable ones
        included."""
        return sum(count for state, count in self.by_state.items() if state in IN_FLIGHT)


def total(parts: Iterable[Counts]) -> Counts:
    """The sum over a pod's ports."""
    by_state: dict[TcpState, int] = {}
    accepted = probes = probes_accepted = arrivals = 0
    last: float | None = None
    cut: int | None = None
    for part in parts:
        for state, count in part.by_state.items():
            by_state[state] = by_state.get(state, 0) + count
        accepted += part.accepted
        probes += part.probes
        probes_accepted += part.probes_accepted
        arrivals += part.arrivals
        if part.cut is not None:
            cut = part.cut + (cut or 0)
        if part.last_accept is not None:
            last = part.last_accept if last is None else max(last, part.last_accept)
    return Counts(by_state, accepted, last, probes, probes_accepted, arrivals, cut)
