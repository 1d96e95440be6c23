"""What becomes of a drained pod's nginx: whether it lives, and whether somebody else stopped it
while connections were in flight."""

from drainmon.daemon.udp_watch import UdpWatch
from drainmon.drain.nginx import Nginx
from drainmon.model.counts import Counts
from drainmon.model.snapshot import Tally
from drainmon.pods.held import Held
from drainmon.pods.nginx import Work, is_running, masters_of, work_of
from drainmon.pods.pod import Pod


class NginxWatch:
    """Looked at with each snapshot of the pod.

    Where the source counts the connections that end with their process, these were cut. Where it
    does not, all that were in flight when nginx last served were, if it has ended since without
    ever having been seen to quit: then it was killed, or told to end at once.
    """

    def __init__(self, pod: Pod) -> None:
        self._had_nginx = bool(pod.processes)
        self._counted: tuple[frozenset[int], int] | None = None
        self._cut = 0
        self._served = self._vanished = 0
        self.held = Held()
        self.udp = UdpWatch()

    def has_lost(self, pod: Pod) -> bool:
        """Whether there was an nginx, and none of its masters runs any more."""
        return self._had_nginx and not any(map(is_running, pod.masters))

    def now(self, pod: Pod, counts: Counts, tally: Tally) -> Nginx:
        """How nginx is; `tally` is of a snapshot of a moment ago, `counts` were read after it."""
        lost = self.has_lost(pod)
        if counts.cut is None:
            self._follow(pod, tally.in_flight)
        else:
            self._follow(pod, tally.elsewhere)  # whose ends no counter of the pod's sees
            # Other ports have other counts; another source's begin anew.
            if self._counted and self._counted[0] == pod.ports:
                self._cut += max(0, counts.cut - self._counted[1])
            self._counted = pod.ports, counts.cut
        return Nginx(
            alive=self._had_nginx and not lost,
            lost=lost,
            cut=self._cut + self._vanished,
            uncounted=self.held.uncounted,
            abroad=self.held.abroad,
            udp_workers=self.udp.workers,
            udp_told=self.udp.told,
            udp_known=self.udp.is_known,
            seen=self._had_nginx or bool(pod.processes),
        )

    def _follow(self, pod: Pod, in_flight: int) -> None:
        if not (in_flight or self._served):
            return
        match work_of({*pod.masters, *masters_of(pod)}):
            case Work.SERVES:
                self._served = in_flight
            case Work.QUITS:
                self._served = 0
            case Work.NONE:
                self._vanished = max(self._vanished, self._served)
