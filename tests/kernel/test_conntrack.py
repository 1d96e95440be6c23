"""The loaded programs: what a snapshot says, what wakes, what is there before and after."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from drainmon.kernel import conntrack
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.wire import PORT_COUNTERS, EventKind, LostPlace
from drainmon.model.standing import Socket
from tests.kernel.pair import CLIENT, PORT, Pair
from tests.kernel.probe import Probe
from tests.waiting import eventually

pytestmark = pytest.mark.root


def test_all_counters_come_in_several_batches(
    pair: Pair, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conntrack, "_BATCH", 2)
    ports = range(PORT, PORT + 9)
    with contextlib.ExitStack() as stack:
        stack.enter_context(pair.listen())
        for port in ports[1:]:
            listener = stack.enter_context(pair.server.socket())
            listener.bind(("127.0.0.1", port))
            listener.listen()
        stack.enter_context(pair.dial())
        found = probe.conntrack.all_counters()
        assert {port for inode, port in found if inode == pair.server.inode} == {*ports}
        for port in ports:
            each = probe.conntrack.counters(pair.server.inode, port)
            assert each
            assert found[pair.server.inode, port] == PORT_COUNTERS.unpack(each)
        assert found[pair.server.inode, PORT][1] == 1  # accepted


def only(probe: Probe, pair: Pair) -> Socket:
    (socket,) = probe.snapshot(pair.server).sockets
    return socket


def test_bytes_and_idle_times(pair: Pair, probe: Probe) -> None:
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
        assert used.idle_in is not None and used.idle_in < 0.1
        assert used.idle_out is not None and used.idle_out >= 0.1
        assert used.idle_ack is not None and used.rto > 0
        accepted.sendall(b"answer")
        client.sendall(b"more")
        eventually(lambda: (only(probe, pair).bytes_sent, only(probe, pair).unread) == (6, 4))
        assert used.opened == fresh.opened


def test_accept_queue(pair: Pair, probe: Probe) -> None:
    with pair.listen(backlog=7), pair.dial(), pair.dial():
        snapshot = probe.snapshot(pair.server)
        (listener,) = snapshot.listeners
        assert (listener.unaccepted, listener.limit) == (2, 7)
        assert len(snapshot.sockets) == 2


def test_connections_older_than_the_programs_are_entered(pair: Pair) -> None:
    with pair.listen() as listener, contextlib.ExitStack() as stack:
        ends = [pair.connect(listener) for _ in range(3)]
        for client, accepted in ends:
            stack.enter_context(client)
            stack.enter_context(accepted)
        probe = Probe()
        stack.callback(probe.conntrack.close)
        assert probe.counters(pair.server) == {}
        assert all(s.opened is None for s in probe.snapshot(pair.server).sockets)
        assert probe.counters(pair.server) == {"ESTABLISHED": 3}
        assert probe.accepted(pair.server) == 0
        assert probe.conntrack.lost()[LostPlace.CHANGE] == 0
        ends[0][0].close()
        ends[0][1].close()
        eventually(lambda: probe.counters(pair.server) == {"ESTABLISHED": 2})


def test_outbound_connections_are_not_counted(pair: Pair, probe: Probe) -> None:
    listener = pair.client.socket()
    with listener, pair.listen():
        listener.bind((CLIENT, 9000))
        listener.listen()
        outbound = pair.server.socket()
        with outbound:
            outbound.connect((CLIENT, 9000))
            assert probe.snapshot(pair.server, outbound.getsockname()[1]).sockets == ()
            assert probe.counters(pair.server) == {}
            assert probe.accepted(pair.client, 9000) == 1


def test_other_namespaces_are_not_listed(pair: Pair, probe: Probe) -> None:
    with pair.listen(), pair.dial():
        assert probe.snapshot(pair.client).sockets == ()
        assert len(probe.snapshot(pair.server).sockets) == 1


def test_a_new_listener_is_an_event(pair: Pair, probe: Probe) -> None:
    with pair.listen():
        assert (EventKind.LISTENER, pair.server.inode, PORT) in probe.taken_events()


def test_many_changes_wake_once_until_watched_again(pair: Pair, probe: Probe) -> None:
    change = (EventKind.CHANGE, pair.server.inode, PORT)
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


def test_closing_leaves_nothing_in_the_kernel() -> None:
    before = _kernel_objects()
    probe = Probe()
    held = _kernel_objects() - before
    assert {kind for kind, _ in held} >= {"prog_id", "map_id", "link_id"}
    probe.conntrack.close()
    assert _kernel_objects() == before


def test_nobody_else_can_detach_the_programs(pair: Pair, probe: Probe) -> None:
    links = [number for kind, number in _kernel_objects() if kind == "link_id"]
    assert links
    for link in links:
        argv = ["bpftool", "link", "detach", "id", link]
        tried = subprocess.run(argv, check=False, capture_output=True)
        assert b"Operation not supported" in tried.stderr
    with pair.listen(), pair.dial():
        assert probe.counters(pair.server) == {"ESTABLISHED": 1}


def _kernel_objects() -> set[tuple[str, str]]:
    """BPF objects that this process holds; as nothing is pinned, nobody else keeps them."""
    found = set()
    for info in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            lines = (line.partition(":") for line in info.read_text().splitlines())
            found |= {(k, v.strip()) for k, _, v in lines if k in {"prog_id", "map_id", "link_id"}}
    return found


def test_ports_of_a_namespace_can_be_forgotten(netns: Netns, probe: Probe) -> None:
    with netns.socket() as listener:
        listener.bind(("127.0.0.1", PORT))
        listener.listen()
    key = (netns.inode, PORT)
    assert key in set(probe.conntrack.ports())
    probe.conntrack.forget_port(*key)
    assert key not in set(probe.conntrack.ports())
    assert probe.conntrack.counters(*key) is None


def test_nothing_is_lost_without_need(pair: Pair, probe: Probe) -> None:
    with pair.listen(), pair.dial():
        assert set(probe.conntrack.lost().values()) == {0}


def test_an_object_that_is_missing_or_broken(
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
