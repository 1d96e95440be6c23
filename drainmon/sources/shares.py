"""Which ports the kernel counts: those of the node's pods, of each no more than its share."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from drainmon.pods.pod import Pod

SHARE = 256
"""At most so many ports of one pod are counted: without a limit one pod could use up the room of
all others."""

Port = tuple[int, int]
"""Netns inode and local port."""


@dataclass
class _Counted:
    since: float
    pods: frozenset[int]
    """The numbers of those whose port it is: in the host's namespace two may share one."""


@dataclass(frozen=True)
class Share:
    """What is counted of a pod's `ports`: the same ones, or some. `since`: for how long all of them
    are (monotonic seconds); None when some are not, or there are none."""

    ports: frozenset[int]
    counted: tuple[int, ...]
    since: float | None

    @property
    def whole(self) -> bool:
        return len(self.counted) == len(self.ports)


def fair_share(wanted: Iterable[int], room: int) -> int:
    """The largest share with which all fit into the room: who wants less leaves the rest to the
    others (max-min fairness)."""
    sizes = sorted(wanted)
    for number, size in enumerate(sizes):
        each = room // (len(sizes) - number)
        if size > each:
            return each
        room -= size
    return max(sizes, default=0)


class Shares:
    """`add` counts on a port from zero, unless there is no memory for it: then it is false. There
    is `room` for so many ports. `clock` is monotonic."""

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
        """Count on the ports of these pods and no others. What a pod that is gone has left is not
        its successor's: that begins at zero."""
        wanted = self._choose(pods)
        for key in self._counted.keys() - wanted.keys():
            self._forget(*key)
            del self._counted[key]
        for key, numbers in wanted.items():
            known = self._counted.get(key)
            if known is None or known.pods.isdisjoint(numbers):
                now = self._clock()
                if not self._add(*key):
                    break  # nor is there for others
                known = self._counted[key] = _Counted(now, frozenset())
            known.pods = frozenset(numbers)
        self._shares = {pod.number: self._find(pod) for pod in pods}

    def _choose(self, pods: list[Pod]) -> Mapping[Port, set[int]]:
        """The ports to count, each with the numbers of its pods."""
        of_owner: dict[str, list[Pod]] = {}
        for pod in pods:  # a container can make namespaces: they are all its owner's
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
        """So many of the pod's ports. What is counted stays so, whatever the pod opens next."""
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
        """By the ports that the pod has now."""
        known = self._shares.get(pod.number)
        if known and (known.ports is pod.ports or known.ports == pod.ports):
            return known
        return self._find(pod)
