"""A roll of an nginx with one worker: a reload where it can do no harm, and nothing by force."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from bench.rig.netns import Netns
from tests.client.nginx_library import NginxLibrary
from tests.client.rolling import DOWNLOAD, Nginx, rest, stopped
from tests.client.run import wait_until

root = pytest.mark.root
MEMORY = Path("/sys/fs/cgroup/memory")
MIB = 1 << 20
IGNORED = "nginx has not replaced its workers on SIGHUP, see its error log"


@pytest.fixture
def nginx(pod_netns: Netns, tmp_path: Path) -> Iterator[Nginx]:
    running = Nginx(pod_netns, tmp_path / "n", workers=1)
    yield running
    running.close()


def large_map(folder: Path, lines: int) -> str:
    """A configuration that nginx needs time to read, and memory to keep."""
    with (folder / "map").open("w") as file:
        for number in range(lines):
            file.write(f"/some/rather/long/path/of/an/application/{number:08d} upstream;\n")
    return (
        "map_hash_max_size 262144; map_hash_bucket_size 256;"
        f" map $uri $x {{ include {folder}/map; default none; }}"
    )


@root
def test_one_worker_is_replaced_by_a_reload(nginx: Nginx, client: Path) -> None:
    (old,) = nginx.workers()
    with nginx.request() as idle:
        waiting = nginx.hook(client)
        waiting.line("sent SIGHUP to nginx")
        assert rest(idle) < 4096
    ended = waiting.end()
    assert (ended.status, ", roll: reload, " in ended.last) == (0, True)
    wait_until(lambda: nginx.workers() != {old} and old not in nginx.workers(), "the replacement")
    assert not nginx.signalled(signal.SIGQUIT)


@root
def test_a_roll_with_a_broken_configuration_cuts_nothing(nginx: Nginx, client: Path) -> None:
    workers = nginx.workers()
    nginx.configure("listen 8080; nonsense;")
    with nginx.request("/slow") as download:
        waiting = nginx.hook(client)
        said = waiting.line("cannot roll nginx: ")
        assert said == f"cannot roll nginx: {IGNORED}; only waiting"
        assert f", roll: failed ({IGNORED}), " in waiting.line("waiting, 1 in flight")
        nginx.request().close()  # an arrival, which must not cause a second roll
        assert rest(download) > DOWNLOAD
    ended = waiting.end()
    assert (ended.status, nginx.workers()) == (0, workers)
    assert len(nginx.signalled(signal.SIGHUP)) == 1
    assert not nginx.signalled(signal.SIGQUIT)
    assert "shutting down" not in nginx.log()


@root
def test_a_roll_waits_for_a_configuration_that_is_slow_to_read(
    pod_netns: Netns, client: Path, tmp_path: Path
) -> None:
    """Longer than for an idle master: the first read took long, too."""
    nginx = Nginx(pod_netns, tmp_path / "n", workers=1, http=large_map(tmp_path, 900_000))
    try:
        with nginx.request("/slow") as download:
            began = time.monotonic()
            waiting = nginx.hook(client, "--timeout=60s")
            waiting.line("sent SIGHUP to nginx")
            waiting.line("rolling, 1 in flight")
            waiting.line("new workers have taken over")
            assert time.monotonic() - began > 3, "it was not slow enough to test this"
            assert rest(download) > DOWNLOAD
        ended = waiting.end()
        assert (ended.status, ", roll: reload, " in ended.last) == (0, True)
        assert not nginx.signalled(signal.SIGQUIT)
    finally:
        nginx.close()


@root
def test_a_worker_that_does_not_quit_after_a_reload_ends_the_drain(
    nginx: Nginx, client: Path
) -> None:
    (old,) = nginx.workers()
    idle = nginx.request()
    with stopped({old}):
        waiting = nginx.hook(client)
        waiting.line("sent SIGHUP to nginx")
        wait_until(lambda: nginx.workers() > {old}, "the new worker")
        ended = waiting.end()
    idle.close()
    assert ended.status == 1
    assert any(line.startswith("stuck, 1 in flight ") for line in ended.lines), ended.output


class Limited:
    """A cgroup of version 1 whose memory can be limited, for processes in a netns and in a cgroup
    below."""

    def __init__(self, netns: Netns, path: Path) -> None:
        self._netns = netns
        self.path = path
        (path / "inner").mkdir(parents=True)

    def command(self, argv: list[str]) -> list[str]:
        script = f'echo $$ >{self.path}/inner/cgroup.procs; exec "$@"'
        return ["sh", "-c", script, "sh", *self._netns.command(argv)]

    def read(self, name: str) -> int:
        return int((self.path / name).read_text())

    def limit(self, share: float) -> None:
        """Limit the memory to `share` times nginx's present use."""
        used = self.read("memory.usage_in_bytes")
        (self.path / "memory.limit_in_bytes").write_text(str(int(used * share)))

    def left(self) -> int:
        stat = dict(line.split() for line in (self.path / "memory.stat").read_text().splitlines())
        used = self.read("memory.usage_in_bytes") - int(stat["total_inactive_file"])
        return self.read("memory.limit_in_bytes") - used

    def removed(self) -> bool:
        try:
            if (self.path / "inner").exists():
                (self.path / "inner").rmdir()
            self.path.rmdir()
        except OSError:
            return False
        return True


@pytest.fixture
def limited(pod_netns: Netns) -> Iterator[Limited]:
    if not (MEMORY / "memory.limit_in_bytes").exists():
        pytest.skip("needs the memory controller of cgroup v1")
    made = Limited(pod_netns, MEMORY / f"drainmon-test-{os.getpid()}")
    yield made
    for pid in (made.path / "inner" / "cgroup.procs").read_text().split():
        os.kill(int(pid), signal.SIGKILL)  # a worker whose master the kernel has killed
    wait_until(made.removed, "the end of the cgroup")


LimitedNginx = Callable[[int, float], Nginx]


@pytest.fixture
def limited_nginx(limited: Limited, pod_netns: Netns, tmp_path: Path) -> Iterator[LimitedNginx]:
    """Starts an nginx with the given workers, whose memory is limited to a multiple of its use."""
    with ExitStack() as stack:

        def start(workers: int, share: float) -> Nginx:
            http = large_map(tmp_path, 100_000)
            nginx = Nginx(pod_netns, tmp_path / "n", workers, http=http, where=limited)
            stack.callback(nginx.close)
            limited.limit(share)
            return nginx

        yield start


@root
@pytest.mark.parametrize("share", [1.3, 20.0])
def test_a_reload_needs_room_for_a_second_configuration(
    limited: Limited, limited_nginx: LimitedNginx, client: Path, share: float
) -> None:
    nginx = limited_nginx(1, share)
    (old,) = nginx.workers()
    with nginx.request("/slow") as download:
        waiting = nginx.hook(client)
        if share < 2:
            said = waiting.line("cannot roll nginx: no memory for a second configuration: nginx")
            assert "roll: skipped (no memory for" in waiting.line("waiting, 1 in flight")
            has, left = (int(word) for word in said.split() if word.isdigit())
            anonymous = (psutil.Process(pid).memory_info() for pid in (nginx.pid, old))
            assert abs(sum(info.rss - info.shared for info in anonymous) / MIB - has) < 2
            assert abs(limited.left() / MIB - left) < 2
            assert left < has
        else:
            waiting.line("new workers have taken over")
        assert rest(download) > DOWNLOAD
    assert waiting.end().status == 0
    assert (nginx.workers() == {old}) == (share < 2)
    assert len(nginx.signalled(signal.SIGHUP)) == (share > 2)


@root
@pytest.mark.parametrize("share", [1.3, 20.0])
def test_held_workers_are_replaced_by_a_reload_if_memory_allows(
    limited_nginx: LimitedNginx, client: Path, share: float
) -> None:
    nginx = limited_nginx(2, share)
    first, last = sorted(nginx.workers())
    idle = nginx.request_to(last)
    with nginx.request_to(first, "/slow") as download:
        waiting = nginx.hook(client)
        if share > 2:
            assert rest(idle) < 4096
        else:
            waiting.line("rolling, 2 in flight")
            time.sleep(3)  # longer than the wait for the first replacement
        assert len(nginx.signalled(signal.SIGHUP)) == (share > 2)
        assert rest(download) > DOWNLOAD
    assert waiting.end().status == 0
    assert len(nginx.signalled(signal.SIGHUP)) == (share > 2)
    idle.close()


@pytest.mark.parametrize(
    ("text", "v1", "v2"),
    [
        (b"0::/kubepods/pod1/a\n", None, "/kubepods/pod1/a"),
        (b"5:cpu,cpuacct:/x\n4:memory:/docker/a\n0::/\n", "/docker/a", "/"),
        (b"3:hugetlb,memory:/a\n1:name=systemd:/b\n", "/a", None),
        (b"0::/a/../..", None, None),  # cut off
        (b"", None, None),
    ],
)
def test_the_cgroup_path_of_a_process_is_parsed(
    nginx_library: NginxLibrary, text: bytes, v1: str | None, v2: str | None
) -> None:
    assert nginx_library.cgroup(text, v2=False) == v1
    assert nginx_library.cgroup(text, v2=True) == v2
