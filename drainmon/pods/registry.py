"""The registry of the node's pods, from scan to scan."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from drainmon.pods.cgroup import Owner
from drainmon.pods.discovery import find_processes, listening_ports, owner_of
from drainmon.pods.identity import Identity, identify
from drainmon.pods.pod import NginxProcess, Pod, PodKey
from drainmon.procfs import process

ENDED_KEPT = 256
"""Pods whose ports are remembered after their nginx has ended, at most."""

Identify = Callable[[Owner], Identity]


def _without_names(owner: Owner) -> Identity:
    return identify(owner, {})


class Registry:
    """The node's pods; `scan` updates them.

    A network namespace is one pod. Only the namespaces `host` are shared: there each owner is one
    pod. A port stays with its pod after its listener has closed, while one of the pod's processes
    lives or the pod is held. A pod whose processes are all new is a new pod; `identify` is called
    once for each. Ignored ports belong to no pod.
    """

    def __init__(
        self,
        names: Iterable[str],
        host: frozenset[int] = frozenset(),
        identify: Identify = _without_names,
        ignored_ports: frozenset[int] = frozenset(),
    ) -> None:
        self._names = frozenset(names)
        self._host = host
        self._identify = identify
        self._ignored_ports = ignored_ports
        self._pods: dict[PodKey, Pod] = {}
        self._held: dict[PodKey, int] = {}
        self._ended: dict[PodKey, frozenset[int]] = {}
        self._own_ports: dict[int, int] = {}
        self._numbers = itertools.count(1)
        self._changing = threading.Lock()
        """Guards `_pods`: a scan runs in a thread, and the event loop changes pods meanwhile."""

    @property
    def names(self) -> tuple[str, ...]:
        """The process names of nginx, sorted."""
        return tuple(sorted(self._names))

    def scan(self) -> None:
        """Read every process of the node. Blocks for milliseconds."""
        pods = {}
        for key, processes in self._find().items():
            known = self._pods.get(key)
            if known and key not in self._held and set(known.processes).isdisjoint(processes):
                known = None
            known = known or self._make(next(self._numbers), key, _owner_of_any(processes))
            ports = listening_ports(processes) - self._ignored_ports
            ports = known.ports if ports <= known.ports else ports | known.ports
            pods[key] = replace(known, processes=tuple(processes), ports=ports)
        with self._changing:
            self._replace(pods)

    def _replace(self, pods: dict[PodKey, Pod]) -> None:
        for key, known in self._pods.items():
            if key in pods:
                if known.number == pods[key].number:  # `learn` may have added ports meanwhile
                    ports = pods[key].ports | known.ports
                    pods[key] = replace(pods[key], ports=ports, ways_in=known.ways_in)
            elif key in self._held:
                pods[key] = replace(known, processes=())
            else:
                self._remember(key, known.ports)
        self._pods = pods

    def _find(self) -> dict[PodKey, list[NginxProcess]]:
        found: dict[PodKey, list[NginxProcess]] = {}
        for netns, processes in find_processes(self._names).items():
            if not self.shared(netns):
                found[PodKey(netns)] = processes
                continue
            for nginx in processes:
                try:
                    group = owner_of(nginx.pid).root
                except OSError:  # it has ended
                    continue
                found.setdefault(PodKey(netns, group), []).append(nginx)
        return found

    def _make(self, number: int, key: PodKey, owner: Owner) -> Pod:
        identity = self._identify(owner)
        if not self.shared(key.netns):
            # Outside of the host's namespace, the namespace identifies the pod, not a unit.
            identity = replace(identity, unit="")
        return Pod(number, key.netns, identity, (), frozenset(), key.group)

    def _remember(self, key: PodKey, ports: frozenset[int]) -> None:
        self._ended.pop(key, None)
        self._ended[key] = ports
        if len(self._ended) > ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    def outdated(self) -> bool:
        """Whether a pod has lost all processes since the last scan. Cheap: reads known processes
        only."""
        return any(
            not any(map(_runs, pod.processes)) and key not in self._held
            for key, pod in self._pods.items()
        )

    def shared(self, netns: int) -> bool:
        """Whether the namespace is the host's, which may have several pods."""
        return netns in self._host

    def key(self, netns: int, owner: Owner) -> PodKey:
        """The key of the pod of a process with this owner in this namespace."""
        return PodKey(netns, owner.root if self.shared(netns) else "")

    def find(self, netns: int, owner: Owner) -> Pod | None:
        """The pod of a process, None when the last scan found no nginx in it.

        For a process of the host itself in another unit (a shell), the host's nginx. Raises
        ValueError "cannot choose an nginx: why" when the host has several.
        """
        pod = self._pods.get(self.key(netns, owner))
        if pod or owner.contained or not self.shared(netns):
            return pod
        services = [p for p in self._pods.values() if p.netns == netns and p.of_the_host]
        if len(services) > 1:
            labels = ", ".join(sorted(service.label for service in services))
            raise ValueError(f"cannot choose an nginx: the host has {labels}")
        return services[0] if services else None

    def without_nginx(self, netns: int, owner: Owner) -> Pod:
        """A pod without nginx for a process, to show its name. It is not among `pods`."""
        return self._make(0, self.key(netns, owner), owner)

    def ended_ports(self, key: PodKey) -> frozenset[int]:
        """The remembered ports of a pod whose nginx has ended."""
        return self._ended.get(key, frozenset())

    def adopt(self, netns: int, owner: Owner, ports: frozenset[int]) -> Pod:
        """The pod of a process, for which scans found no ports, with the given ports except ignored
        ones. The pod stays while it has processes or is held."""
        key = self.key(netns, owner)
        with self._changing:
            known = self._pods.get(key) or self._make(next(self._numbers), key, owner)
            ports = ports - self._ignored_ports - self.own_ports(netns)
            self._pods[key] = replace(known, ports=ports)
            return self._pods[key]

    def learn(self, key: PodKey, ports: frozenset[int]) -> None:
        """Add ports to a pod, if it exists, that are not those of present listeners."""
        with self._changing:
            if known := self._pods.get(key):
                self._pods[key] = replace(known, ports=known.ports | (ports - self._ignored_ports))

    def reached_by(self, key: PodKey, ways_in: tuple[str, ...]) -> None:
        """Set the ways in of a pod, if it exists."""
        with self._changing:
            if known := self._pods.get(key):
                self._pods[key] = replace(known, ways_in=ways_in)

    def own_ports(self, netns: int) -> frozenset[int]:
        """The daemon's own ports in a network namespace, which belong to no pod."""
        return frozenset({self._own_ports[netns]} if netns in self._own_ports else ())

    def set_own_port(self, netns: int, port: int | None) -> None:
        """Set the daemon's port in a network namespace; None when the daemon no longer listens."""
        if port is None:
            self._own_ports.pop(netns, None)
        else:
            self._own_ports[netns] = port

    def hold(self, key: PodKey) -> None:
        """Keep a draining pod when its last process ends."""
        self._held[key] = self._held.get(key, 0) + 1

    def release(self, key: PodKey) -> None:
        """Undo one `hold`."""
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]

    def pods(self) -> list[Pod]:
        """Every pod of the last scan, sorted by label."""
        return sorted(self._pods.values(), key=lambda pod: pod.label)

    def get(self, key: PodKey) -> Pod | None:
        """The pod as the last scan found it."""
        return self._pods.get(key)


def _owner_of_any(processes: Sequence[NginxProcess]) -> Owner:
    """The owner of nginx: a container, if any of the processes is in one."""
    found = Owner()
    for nginx in processes:
        with contextlib.suppress(OSError):  # it has ended
            found = owner_of(nginx.pid)
        if found.contained:
            break
    return found


def _runs(nginx: NginxProcess) -> bool:
    try:
        return process.start_time(nginx.pid) == nginx.started
    except OSError:
        return False
