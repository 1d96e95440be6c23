"""Which processes are masters."""

from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod

MASTER, WORKER, CACHE, OTHER = (
    NginxProcess(10, 1, 100),
    NginxProcess(11, 10, 101),
    NginxProcess(12, 10, 101),
    NginxProcess(20, 3, 200),
)


def make(*processes: NginxProcess) -> Pod:
    return Pod(1, 1, Identity(), processes, frozenset())


def test_a_master_has_no_parent_in_the_pod() -> None:
    assert make(WORKER, MASTER, CACHE).masters == (MASTER,)


def test_a_pod_can_have_two_masters() -> None:
    assert make(MASTER, WORKER, OTHER).masters == (MASTER, OTHER)


def test_workers_without_their_master_count_as_masters() -> None:
    assert make(WORKER).masters == (WORKER,)
