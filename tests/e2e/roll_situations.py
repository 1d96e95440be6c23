"""Situations in which a roll could do harm, or does nothing. Each prepares a scene, and returns its
check (tests/e2e/scenes.py)."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bench.rig.cgroup import cgroup_root, hierarchies
from tests.e2e.plain_nginx import PlainNginx, UpgradedNginx
from tests.e2e.scenes import ALONE, Check, Ended, Scene, Situation
from tests.e2e.situations import seconds
from tests.e2e.visits import HELD, Held, Visits, after, idle
from tests.waiting import eventually

LISTEN = f"listen 8080; {HELD}"

SLOW = (
    "map_hash_max_size 900000; map_hash_bucket_size 64;"
    " map $uri $slow { /a-long-enough-path/of-a-pair-a~ 1; /a-long-enough-path/of-a-pair-b_ 2; }"
)
"""Two keys with one hash: nginx tries every size of the table, for five seconds, before it gives up
and takes the largest. This needs no memory, unlike a large configuration."""

HUP, QUIT = "(SIGHUP) received", "gracefully shutting down"


def said(ended: Ended) -> str:
    """The report of the roll, which the client alone may print in any of its lines."""
    return ended.output if ended.source == ALONE else ended.record["roll"]


def rolled(ended: Ended, way: str) -> bool:
    return ended.source == ALONE or ended.record["roll"] == way


def two_workers(nginx: PlainNginx) -> tuple[int, int]:
    """The worker that is signalled first, and the one that stays until there is another."""
    eventually(lambda: len(nginx.workers()) == 2)
    first, last = sorted(nginx.workers())
    return first, last


def the_configuration_is_slow_to_read(scene: Scene) -> Check:
    nginx = scene.nginx(LISTEN, http=SLOW, workers=1)
    held, visits, reading = Held(scene), Visits(scene), []
    held.begin()

    def meanwhile() -> None:
        took = visits.make(
            since=lambda: HUP in nginx.log(),
            until=lambda: nginx.log().count("start worker processes") > 1,
        )
        reading.append(took)
        held.let_go()

    scene.client(meanwhile)

    def check(ended: Ended) -> None:
        assert reading[0] > 3, "too short to prove anything"
        assert visits.worst < 1, visits.waits
        log = nginx.log()
        read = log.index("start worker processes", log.index(HUP))
        assert log.index(QUIT) > read
        assert log.find("(SIGQUIT) received") > read or "(SIGQUIT) received" not in log
        assert held.are_whole(ended), ended.got
        assert ended.status == 0, ended.output
        if ended.source != ALONE:  # which takes new connections for stragglers, and rolls again
            assert log.count(HUP) == 1
            assert ended.record["roll"] == "reload"

    return check


def every_worker_has_a_download(scene: Scene) -> Check:
    """With a configuration that cannot be read any more."""
    nginx = scene.nginx(LISTEN)
    held, visits, moments = Held(scene), Visits(scene), []
    first, last = two_workers(nginx)
    with nginx.only(first):
        held.begin()
    with nginx.only(last):
        held.begin()
        waiting = idle(scene)
    nginx.configure("nonsense;")

    def meanwhile() -> None:
        visits.make(since=lambda: QUIT in nginx.log(), until=after(3))
        quits = nginx.log().count(QUIT)
        held.let_go()
        began = time.monotonic()
        waiting.recv(1)
        closed = time.monotonic() - began
        eventually(lambda: "(SIGTERM) received" in nginx.log())
        moments.extend([quits, closed, time.monotonic() - began])

    scene.client(meanwhile)

    def check(ended: Ended) -> None:
        assert visits.worst < 1, visits.waits
        quits, closed, end = moments
        assert quits == 1  # the last accepting worker stays
        assert closed < 1
        assert end < 1.5
        assert held.are_whole(ended), ended.got
        assert ended.status == 0, ended.output
        assert rolled(ended, "quit")

    return check


def the_configuration_is_broken(scene: Scene) -> Check:
    nginx = scene.nginx(LISTEN, workers=1)
    held, visits = Held(scene), Visits(scene)
    held.begin()
    nginx.configure("nonsense;")

    def meanwhile() -> None:
        # Longer than the wait for the reload, and than the pause before a second roll.
        visits.make(since=lambda: HUP in nginx.log(), until=after(7))
        held.let_go()

    scene.client(meanwhile)

    def check(ended: Ended) -> None:
        assert visits.worst < 1, visits.waits
        assert nginx.log().count(HUP) == 1, ended.output
        assert QUIT not in nginx.log()
        assert held.are_whole(ended), ended.got
        assert ended.status == 0, ended.output
        why = "failed (nginx has not replaced its workers on SIGHUP"
        assert why in said(ended), ended.output
        assert "SIGHUP" in ended.output
        if ended.source != ALONE:
            assert len(ended.record["rolls"]) == 1
            assert ended.record["roll"].startswith(why)

    return check


def hook_runs(cgroup: Path) -> bool:
    pids = (cgroup / "cgroup.procs").read_text().split()
    with suppress(OSError):  # a process has ended
        return any(Path(f"/proc/{pid}/comm").read_text() == "drainmon-wait\n" for pid in pids)
    return False


def there_is_no_memory_for_a_second_configuration(scene: Scene) -> Check:
    memory = [path for path in hierarchies("cgroup") if (path / "memory.stat").exists()]
    if not memory:
        pytest.skip("needs the memory controller of cgroup v1")
    cgroup = memory[0] / scene.stack.enter_context(cgroup_root()).strip("/")
    cgroup.mkdir()
    scene.cgroup = cgroup
    # Each possible connection costs a worker some 400 bytes.
    nginx = scene.nginx(LISTEN, workers=1, events="worker_connections 300000;")
    held, visits = Held(scene), Visits(scene)
    held.begin()
    used = int((cgroup / "memory.usage_in_bytes").read_text())
    assert used > 100 << 20
    (cgroup / "memory.limit_in_bytes").write_text(str(used + (40 << 20)))
    control = cgroup / "memory.oom_control"
    kills: list[str] = []

    def meanwhile() -> None:
        visits.make(since=lambda: hook_runs(cgroup), until=after(6))
        kills.extend(line for line in control.read_text().splitlines() if "oom_kill " in line)
        held.let_go()

    scene.client(meanwhile)

    def check(ended: Ended) -> None:
        assert kills == ["oom_kill 0"]
        assert visits.worst < 1, visits.waits
        assert HUP not in nginx.log(), ended.output
        assert QUIT not in nginx.log()
        assert held.are_whole(ended), ended.got
        assert ended.status == 0, ended.output
        assert "skipped (no memory for a second configuration" in said(ended), ended.output

    return check


def the_binary_is_being_upgraded(scene: Scene) -> Check:
    return upgraded(scene, winch=False)


def the_binary_was_upgraded_and_the_old_master_stays(scene: Scene) -> Check:
    return upgraded(scene, winch=True)


def upgraded(scene: Scene, winch: bool) -> Check:
    nginx = UpgradedNginx(scene, scene.folder / "nginx", winch)
    scene.stack.callback(nginx.close)
    before = nginx.workers() | nginx.workers_of_old()
    for _ in range(20):  # some, or all, belong to the new master
        idle(scene)

    def check(ended: Ended) -> None:
        assert ended.status == 0, ended.output
        assert (nginx.workers_of_old() == set()) is winch
        assert before.isdisjoint(nginx.workers() | nginx.workers_of_old())
        assert HUP not in nginx.log()
        assert rolled(ended, "quit")

    return check


def the_workers_do_not_react(scene: Scene) -> Check:
    return stuck(scene, workers=2)


def the_only_worker_does_not_react(scene: Scene) -> Check:
    return stuck(scene, workers=1)


def stuck(scene: Scene, workers: int) -> Check:
    scene.flags |= {"timeout": "50s"}
    nginx = scene.nginx(workers=workers)
    eventually(lambda: len(nginx.workers()) == workers)
    idle(scene)
    for worker in nginx.workers():
        os.kill(worker, signal.SIGSTOP)  # the master kills them when it ends

    def check(ended: Ended) -> None:
        assert ended.status == 1, ended.output
        assert "stuck" in ended.last, ended.output
        assert "nginx's workers do not react" in ended.last
        assert 10 < seconds(ended) < 20
        if ended.source != ALONE:
            assert ended.record["result"] == "stuck"
            assert ended.record["roll"] == "failed (nginx's workers do not react)"

    return check


def every_worker_listens_for_itself(scene: Scene) -> Check:
    """`reuseport`: no other worker takes the connections of a quitting worker."""
    nginx = scene.nginx(f"listen 8080 reuseport; {HELD}")
    two_workers(nginx)
    held, visits = Held(scene), Visits(scene)
    for _ in range(8):  # some on each
        held.begin()

    def meanwhile() -> None:
        visits.make(since=lambda: HUP in nginx.log() or QUIT in nginx.log(), until=after(4))
        held.let_go()

    scene.client(meanwhile)

    def check(ended: Ended) -> None:
        assert visits.worst < 1, visits.waits
        assert held.are_whole(ended), ended.got
        assert ended.status == 0, ended.output

    return check


def sockets(pid: int) -> int:
    files = Path(f"/proc/{pid}/fd").iterdir()
    return sum(str(file.readlink()).startswith("socket:") for file in files)


def an_unused_connection_holds_a_worker(scene: Scene) -> Check:
    """nginx keeps it for client_header_timeout, even when it quits; the other worker's connection
    is closed nevertheless."""
    nginx = scene.nginx()
    first, last = two_workers(nginx)
    with nginx.only(first):
        before = sockets(first)
        scene.connect()
        eventually(lambda: sockets(first) > before)
    with nginx.only(last):
        idle(scene)

    def check(ended: Ended) -> None:
        assert ended.status == 0, ended.output
        assert seconds(ended) < 12

    return check


SITUATIONS: list[Situation] = [
    the_configuration_is_slow_to_read,
    every_worker_has_a_download,
    the_configuration_is_broken,
    there_is_no_memory_for_a_second_configuration,
    the_binary_is_being_upgraded,
    the_binary_was_upgraded_and_the_old_master_stays,
    the_workers_do_not_react,
    the_only_worker_does_not_react,
    every_worker_listens_for_itself,
    an_unused_connection_holds_a_worker,
]
