"""Watches the nginx of a pod that drains: whether it lives, and whether somebody else stopped it
while connections were in flight."""

from drainmon.daemon.udp_watch import UdpWatch
from drainmon.drain.nginx import Nginx
from drainmon.model.counts import Counts
from drainmon.model.snapshot import Tally
from drainmon.pods.held import Held
from drainmon.pods.nginx import Work, is_running, masters_of, work_of
from drainmon.pods.pod import Pod


class NginxWatch:
    """Updated with each snapshot of the pod.

    Cut connections are those that the source has counted as ending with their process. Without such
    a counter, they are all that were in flight when nginx last served, if nginx has ended since and
    was never seen to quit: then it was killed or stopped at once.
    """

    def __init__(self, pod: Pod) -> None:
        self._had_nginx = bool(pod.processes)
        self._counted: tuple[frozenset[int], int] | None = None
        self._cut = 0
        self._served = self._vanished = 0
        self.held = Held()
        self.udp = UdpWatch()

    def has_lost(self, pod: Pod) -> bool:
        """Whether the pod had an nginx, and none of its masters runs any more."""
        return self._had_nginx and not any(map(is_running, pod.masters))

    def now(self, pod: Pod, counts: Counts, tally: Tally) -> Nginx:
        """nginx's state; `tally` is that of a snapshot just taken, `counts` were read after it."""
        lost = self.has_lost(pod)
        if counts.cut is None:
            self._follow(pod, tally.in_flight)
        else:
            self._follow(pod, tally.elsewhere)  # whose ends no counter of the pod's sees
            # Counts of other ports, or of another source, are not comparable.
            if self._counted and self._counted[0] == pod.ports:
                self._cut += max(0, counts.cut - self._counted[1])
            self._counted = pod.ports, counts.cut
        return Nginx(
            alive=self._had_nginx and not lost,
            lost=lost,
            cut=self._cut + self._vanished,
            uncounted=self.held.uncounted,
            listens_elsewhere=self.held.listens_elsewhere,
            udp_workers=self.udp.workers,
            udp_quitting=self.udp.all_quit,
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
