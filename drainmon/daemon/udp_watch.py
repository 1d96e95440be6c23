"""Which of nginx's workers may still serve clients over UDP (HTTP/3, `listen ... udp`): there is no
socket for each client, but a worker that was told to quit ends with its last one."""

import contextlib

from drainmon.drain.silence import Silence
from drainmon.pods.nginx import all_workers, is_quitting, is_running
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import process
from drainmon.procfs.net_snmp import parse_datagrams


class UdpWatch:
    """Looked at with each snapshot of the pod. Blocking: some reads of /proc for each worker."""

    def __init__(self) -> None:
        self._old: set[NginxProcess] = set()
        self._rolled = False
        self._silence = Silence()
        self.told = False
        """Whether all who may serve have been told to quit."""
        self._gone = False

    @property
    def is_known(self) -> bool:
        """Whether it is known of all UDP clients that they have been served: the old workers have
        ended, or will before the drain does."""
        return self._rolled and self.told and not self._gone

    def rolls(self, pod: Pod) -> None:
        """The workers are about to be replaced: from now on those of this moment count."""
        self._old |= all_workers(pod)
        self._rolled = True

    @property
    def workers(self) -> int:
        """How many workers may serve UDP clients."""
        return 0 if self._gone else len(self._old)

    def look(self, pod: Pod, ports: frozenset[int], now: float, unreachable_after: float) -> None:
        """How it is `now` (monotonic seconds); `ports` are those on which nginx serves UDP."""
        if not (ports or self._old):
            return
        if not self._rolled:
            self._old = all_workers(pod)
        self._old = {worker for worker in self._old if is_running(worker)}
        self.told = all(map(is_quitting, self._old))
        self._count_datagrams(pod, now)
        # Whoever serves HTTP/3 offers it on a port that TCP clients know.
        quic = not ports or bool(ports & pod.ports)
        self._gone = self.told and self._silence.proves_gone(unreachable_after, quic)

    def _count_datagrams(self, pod: Pod, now: float) -> None:
        for nginx in pod.processes:
            with contextlib.suppress(OSError):
                if counters := parse_datagrams(*process.udp_statistics(nginx.pid)):
                    self._silence.saw(now, *counters)
                    return
