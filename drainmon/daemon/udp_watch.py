"""The workers of nginx that may still serve UDP clients (HTTP/3, `listen ... udp`): clients have no
socket each, but a quitting worker exits after its last one."""

import contextlib

from drainmon.drain.silence import Silence
from drainmon.pods.nginx import all_workers, is_quitting, is_running
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import process
from drainmon.procfs.net_snmp import parse_datagrams


class UdpWatch:
    """Updated with each snapshot of the pod. Blocks for some reads of /proc for each worker."""

    def __init__(self) -> None:
        self._old: set[NginxProcess] = set()
        self._rolled = False
        self._silence = Silence()
        self.all_quit = False
        """Whether all workers that may serve UDP clients are quitting."""
        self._gone = False

    @property
    def is_known(self) -> bool:
        """Whether all UDP clients are known to have been served at the drain's end: the old workers
        have exited, or will before."""
        return self._rolled and self.all_quit and not self._gone

    def rolls(self, pod: Pod) -> None:
        """Record the present workers, which are about to be replaced."""
        self._old |= all_workers(pod)
        self._rolled = True

    @property
    def workers(self) -> int:
        """The number of workers that may serve UDP clients."""
        return 0 if self._gone else len(self._old)

    def look(self, pod: Pod, ports: frozenset[int], now: float, unreachable_after: float) -> None:
        """Look at the workers, `now` in monotonic seconds; `ports` are nginx's UDP ports."""
        if not (ports or self._old):
            return
        if not self._rolled:
            self._old = all_workers(pod)
        self._old = {worker for worker in self._old if is_running(worker)}
        self.all_quit = all(map(is_quitting, self._old))
        self._count_datagrams(pod, now)
        # An nginx with HTTP/3 serves it on a port that it also serves over TCP.
        quic = not ports or bool(ports & pod.ports)
        self._gone = self.all_quit and self._silence.proves_gone(unreachable_after, quic)

    def _count_datagrams(self, pod: Pod, now: float) -> None:
        for nginx in pod.processes:
            with contextlib.suppress(OSError):
                if counters := parse_datagrams(*process.udp_statistics(nginx.pid)):
                    self._silence.saw(now, *counters)
                    return
