"""The loaded programs: snapshots, wake-ups, and cleanup."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.wire import LISTENERS
from drainmon.model.standing import Socket
from tests.kernel.pair import CLIENT, PORT, Pair, await_last_ack
from tests.kernel.probe import Probe
from tests.waiting import eventually

pytestmark = pytest.mark.root


def test_all_counters_match_each_ports_counters(pair: Pair, probe: Probe) -> None:
    ports = range(PORT, PORT + 300)
    for port in ports:
        probe.conntrack.add_port(pair.server.inode, port)
    with pair.listen(), pair.dial():
        found = probe.conntrack.all_counters()
        assert found.keys() == {(pair.server.inode, port) for port in ports}
        for port in ports:
            each = probe.conntrack.counters(pair.server.inode, port)
            assert found[pair.server.inode, port] == each
        assert probe.accepted(pair.server) == 1


def test_only_added_ports_are_counted(pair: Pair, probe: Probe) -> None:
    probe.conntrack.forget_port(pair.server.inode, PORT)
    probe.conntrack.add_port(pair.server.inode, PORT + 1)
    probe.conntrack.add_port(pair.client.inode, PORT)
    with pair.listen(), pair.dial():
        assert probe.conntrack.counters(pair.server.inode, PORT) is None
        assert {counted[1] for counted in probe.conntrack.all_counters().values()} == {0}
        assert probe.snapshot(pair.server).sockets == ()
        assert len(probe.snapshot(pair.server, every_port=True).sockets) == 1


def test_a_port_that_is_added_again_starts_at_zero(pair: Pair, probe: Probe) -> None:
    with pair.listen() as listener:
        for end in pair.connect(listener):
            end.close()
        assert probe.accepted(pair.server) == 1
        probe.conntrack.add_port(pair.server.inode, PORT)
        assert probe.accepted(pair.server) == 0
        with pair.dial():
            assert probe.accepted(pair.server) == 1


def only(probe: Probe, pair: Pair) -> Socket:
    (socket,) = probe.snapshot(pair.server).sockets
    return socket


def test_snapshot_has_bytes_and_idle_times(pair: Pair, probe: Probe) -> None:
    probe.conntrack.watch(pair.server.inode, PORT)
    with pair.listen() as listener, contextlib.ExitStack() as stack:
        client, accepted = map(stack.enter_context, pair.connect(listener))
        (fresh,) = probe.snapshot(pair.server).sockets
        assert (fresh.bytes_received, fresh.unsent) == (0, 0)
        assert fresh.opened is not None
        eventually(lambda: (only(probe, pair).idle_in or 0) > 0.1)
        client.sendall(b"GET /")
        accepted.recv(10)
        used = only(probe, pair)
        assert (used.bytes_received, used.bytes_sent, used.unread) == (5, 0, 0)
        assert used.idle_in is not None and used.idle_out is not None
        assert used.idle_out - used.idle_in > 0.08  # 0.1, less what a clock tick rounds off
        assert used.idle_ack is not None and used.rto > 0
        accepted.sendall(b"answer")
        client.sendall(b"more")
        eventually(lambda: (only(probe, pair).bytes_sent, only(probe, pair).unread) == (6, 4))
        assert used.opened == fresh.opened


def test_snapshot_has_the_accept_queue(pair: Pair, probe: Probe) -> None:
    with pair.listen(backlog=7), pair.dial(), pair.dial():
        snapshot = probe.snapshot(pair.server)
        (listener,) = snapshot.listeners
        assert (listener.unaccepted, listener.limit) == (2, 7)
        assert len(snapshot.sockets) == 2


@pytest.mark.core
def test_connections_older_than_the_programs_are_listed(pair: Pair) -> None:
    with pair.listen() as listener, contextlib.ExitStack() as stack:
        ends = [pair.connect(listener) for _ in range(3)]
        for client, accepted in ends:
            stack.enter_context(client)
            stack.enter_context(accepted)
        probe = Probe(pair.server)
        stack.callback(probe.conntrack.close)
        assert [s.opened for s in probe.snapshot(pair.server).sockets] == [None] * 3
        assert probe.counters(pair.server) == {}
        assert probe.accepted(pair.server) == 0
        ends[0][0].close()
        ends[0][1].close()
        eventually(lambda: probe.counters(pair.server) == {"ESTABLISHED": -1})


def test_when_a_connection_was_opened_is_known_while_its_port_is_watched(
    pair: Pair, probe: Probe
) -> None:
    def opened() -> list[bool]:
        sockets = sorted(probe.snapshot(pair.server).sockets, key=lambda s: s.remote_port)
        return [s.opened is not None for s in sockets]

    with pair.listen(), pair.dial(), contextlib.ExitStack() as stack:
        assert opened() == [False]
        probe.conntrack.watch(pair.server.inode, PORT)
        stack.enter_context(pair.dial())
        assert sorted(opened()) == [False, True]
        probe.conntrack.unwatch(pair.server.inode, PORT)
        stack.enter_context(pair.dial())
        assert sorted(opened()) == [False, False, True]


def test_outbound_connections_are_not_counted(pair: Pair, probe: Probe) -> None:
    listener = pair.client.socket()
    probe.conntrack.add_port(pair.client.inode, 9000)
    with listener, pair.listen():
        listener.bind((CLIENT, 9000))
        listener.listen()
        outbound = pair.server.socket()
        with outbound:
            outbound.connect((CLIENT, 9000))
            await_last_ack(pair.client, outbound)
            assert probe.snapshot(pair.server, outbound.getsockname()[1]).sockets == ()
            assert probe.counters(pair.server) == {}
            assert probe.accepted(pair.client, 9000) == 1


def test_other_namespaces_are_not_listed(pair: Pair, probe: Probe) -> None:
    with pair.listen(), pair.dial():
        assert probe.snapshot(pair.client).sockets == ()
        assert len(probe.snapshot(pair.server).sockets) == 1


def test_a_listener_is_announced_once_by_its_processs_name(netns: Netns, probe: Probe) -> None:
    def events_of(name: str, times: int = 1) -> list[tuple[int, int]]:
        for number in range(times):
            listen_as(netns, name, 9000 + number)
        return probe.taken_events()

    name, long = f"web{os.getpid()}", f"{os.getpid()}-a-very-long-process-name"
    assert events_of(name) == []
    probe.conntrack.announce([name, long])
    assert events_of(name) == []
    probe.conntrack.watch_listeners()
    assert events_of(name[:-1]) == events_of(name + "x") == events_of("x" + name) == []
    assert events_of(name, times=3) == [LISTENERS]
    assert events_of(name) == []
    probe.conntrack.watch_listeners()
    assert events_of(long) == [LISTENERS]


def listen_as(namespace: Netns, name: str, port: int) -> None:
    """Listen for a moment in a process of that name."""
    script = (
        "import ctypes, socket;"
        f"ctypes.CDLL(None).prctl(15, {name.encode()!r}, 0, 0, 0);"
        f"socket.create_server(('127.0.0.1', {port}))"
    )
    subprocess.run(namespace.command([sys.executable, "-c", script]), check=True)


def test_many_changes_wake_once_per_watch(pair: Pair, probe: Probe) -> None:
    change = (pair.server.inode, PORT)
    with pair.listen() as listener, contextlib.ExitStack() as stack:
        stack.enter_context(pair.dial())
        assert change not in probe.taken_events()
        probe.conntrack.watch(pair.server.inode, PORT)
        for _ in range(10):
            stack.enter_context(pair.dial())
        assert probe.taken_events() == [change]
        probe.conntrack.watch(pair.server.inode, PORT)
        stack.enter_context(listener.accept()[0])
        assert probe.taken_events() == []
        stack.enter_context(pair.dial())
        assert probe.taken_events() == [change]
        probe.conntrack.unwatch(pair.server.inode, PORT)
        stack.enter_context(pair.dial())
        assert probe.taken_events() == []


@pytest.mark.core
def test_closing_leaves_nothing_in_the_kernel() -> None:
    before = _kernel_objects()
    probe = Probe()
    held = _kernel_objects() - before
    assert {kind for kind, _ in held} >= {"prog_id", "map_id", "link_id"}
    probe.conntrack.close()
    assert _kernel_objects() == before


def test_other_processes_cannot_detach_the_programs(pair: Pair, probe: Probe) -> None:
    links = [number for kind, number in _kernel_objects() if kind == "link_id"]
    assert links
    for link in links:
        argv = ["bpftool", "link", "detach", "id", link]
        tried = subprocess.run(argv, check=False, capture_output=True)
        assert b"Operation not supported" in tried.stderr
    with pair.listen(), pair.dial():
        assert probe.counters(pair.server) == {"ESTABLISHED": 1}


def _kernel_objects() -> set[tuple[str, str]]:
    """BPF objects that this process holds; as nothing is pinned, no other process keeps them."""
    found = set()
    for info in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            lines = (line.partition(":") for line in info.read_text().splitlines())
            found |= {(k, v.strip()) for k, _, v in lines if k in {"prog_id", "map_id", "link_id"}}
    return found


def test_no_event_is_lost_without_load(pair: Pair, probe: Probe) -> None:
    with pair.listen(), pair.dial():
        assert set(probe.conntrack.lost().values()) == {0}


def test_a_missing_or_broken_object_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(OSError, match=r"cannot load .*: not built"):
        Conntrack(lambda *_: None, tmp_path / "none.bpf.o")
    broken = tmp_path / "drainmon.bpf.o"
    broken.write_bytes(b"\x7fELF" + os.urandom(500))
    with pytest.raises(OSError, match=r"cannot load drainmon.bpf.o"):
        Conntrack(lambda *_: None, broken)
    said = [vars(record)["said"] for record in caplog.records if record.msg == "libbpf says"]
    assert any(line.startswith("libbpf: ") and str(broken) in line for line in said)
