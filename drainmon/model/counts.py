"""How many connections a pod has, by state, and how many it has accepted: what counters say."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from drainmon.model.tcp import IN_FLIGHT, TcpState

_EMPTY: Mapping[TcpState, int] = MappingProxyType({})


class Counts(NamedTuple):
    """Accepted connections by state, those accepted ever, and when the last one was (monotonic
    seconds): from a source that saw none, since when it would have. None when nobody knows.

    Probes are neither in `by_state` nor the last one. `probes` are those that are open now,
    `probes_accepted` is how many of `accepted` they were, `arrivals` how many were neither probes'
    nor ignored: whose one is shows a moment after it was accepted. `cut` are connections in use
    that ended with the process that held them, None where the source cannot tell. `changes` is how
    many changes of state have been counted, None where the source does not count them.
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
        """Connections in a state that may lose something, unused and unreachable ones included."""
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
