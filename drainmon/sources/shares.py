"""Chooses the ports that the kernel counts: those of the node's pods, at most a share of each."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from drainmon.pods.pod import Pod

SHARE = 256
"""Ports of one pod that are counted at most, so that one pod cannot take the room of all others."""

Port = tuple[int, int]
"""Netns inode and local port."""


@dataclass
class _Counted:
    since: float
    pods: frozenset[int]
    """The numbers of the port's pods: in the host's namespace two may share one."""


@dataclass(frozen=True)
class Share:
    """The `counted` ones of a pod's `ports`. `since`: when counting began on all of them (monotonic
    seconds); None when some are not counted, or there are none."""

    ports: frozenset[int]
    counted: tuple[int, ...]
    since: float | None

    @property
    def whole(self) -> bool:
        return len(self.counted) == len(self.ports)


def fair_share(wanted: Iterable[int], room: int) -> int:
    """The largest share with which all fit into the room; what small pods leave goes to the others
    (max-min fairness)."""
    sizes = sorted(wanted)
    for number, size in enumerate(sizes):
        each = room // (len(sizes) - number)
        if size > each:
            return each
        room -= size
    return max(sizes, default=0)


class Shares:
    """`add` counts on a port from zero, and returns False when there is no memory for it. `room` is
    the number of ports that fit. `clock` is monotonic."""

    def __init__(
        self,
        add: Callable[[int, int], bool],
        forget: Callable[[int, int], None],
        room: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._add = add
        self._forget = forget
        self._room = room
        self._clock = clock
        self._counted: dict[Port, _Counted] = {}
        self._shares: dict[int, Share] = {}

    def follow(self, pods: list[Pod]) -> None:
        """Count on the ports of these pods and no others. A new pod on the port of a departed one
        starts at zero."""
        wanted = self._choose(pods)
        for key in self._counted.keys() - wanted.keys():
            self._forget(*key)
            del self._counted[key]
        for key, numbers in wanted.items():
            known = self._counted.get(key)
            if known is None or known.pods.isdisjoint(numbers):
                now = self._clock()
                if not self._add(*key):
                    break  # no memory for others either
                known = self._counted[key] = _Counted(now, frozenset())
            known.pods = frozenset(numbers)
        self._shares = {pod.number: self._find(pod) for pod in pods}

    def _choose(self, pods: list[Pod]) -> Mapping[Port, set[int]]:
        """The ports to count, each with the numbers of its pods."""
        of_owner: dict[str, list[Pod]] = {}
        for pod in pods:  # a container can make namespaces, which share its label
            of_owner.setdefault(pod.label, []).append(pod)
        sizes = [sum(len(pod.ports) for pod in own) for own in of_owner.values()]
        share = min(SHARE, fair_share(sizes, self._room))
        wanted: dict[Port, set[int]] = {}
        for own in of_owner.values():
            left = share
            for pod in own:
                chosen = self._first(pod, left)
                left -= len(chosen)
                for port in chosen:
                    wanted.setdefault((pod.netns, port), set()).add(pod.number)
        return wanted

    def _first(self, pod: Pod, number: int) -> list[int]:
        """At most `number` of the pod's ports. Counted ports stay counted when the pod opens
        more."""
        if len(pod.ports) <= number:
            return [*pod.ports]
        known = self._shares.get(pod.number)
        kept = [port for port in known.counted if port in pod.ports] if known else []
        return [*kept, *sorted(pod.ports.difference(kept))][:number]

    def _find(self, pod: Pod) -> Share:
        counted = tuple(port for port in pod.ports if (pod.netns, port) in self._counted)
        since = None
        if counted and len(counted) == len(pod.ports):
            since = max(self._counted[pod.netns, port].since for port in counted)
        return Share(pod.ports, counted, since)

    def of(self, pod: Pod) -> Share:
        """The share of a pod, for its present ports."""
        known = self._shares.get(pod.number)
        if known and (known.ports is pod.ports or known.ports == pod.ports):
            return known
        return self._find(pod)
