"""When the kernel's memory for us is full, and when namespaces come and go."""

import contextlib
import gc
import socket
import threading
from pathlib import Path

import pytest

from bench.rig.netns import Netns, fresh_netns, ip
from drainmon.kernel import netns as kernel_netns
from drainmon.kernel.wire import LostPlace
from drainmon.pods.discovery import live_namespaces
from drainmon.procfs.process import netns_inode
from tests.kernel.pair import PORT, SERVER, Pair
from tests.kernel.probe import Probe
from tests.listening import PORTS_KEPT, RING_RECORDS, listen_on_many
from tests.waiting import eventually

pytestmark = pytest.mark.root

REUSE_TRIES = 10
NAMESPACES_AT_MOST = 50


def listen_once(namespace: Netns, port: int) -> None:
    with namespace.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()


def test_a_full_ring_buffer_is_counted(netns: Netns, probe: Probe) -> None:
    listen_on_many(netns, range(20000, 20000 + RING_RECORDS + 100))
    lost = probe.conntrack.lost()
    assert lost[LostPlace.EVENT] > 0
    assert lost[LostPlace.PORT] == 0
    assert len(probe.taken_events()) > RING_RECORDS / 2
    listen_once(netns, 19999)
    assert [port for _, _, port in probe.taken_events()] == [19999]


def test_a_full_map_of_ports_is_counted_and_hides_no_connection(pair: Pair, probe: Probe) -> None:
    listen_on_many(pair.client, range(20000, 20000 + PORTS_KEPT))
    with pair.listen() as listener, contextlib.ExitStack() as stack:
        for end in pair.connect(listener):
            stack.enter_context(end)
        assert probe.conntrack.lost()[LostPlace.PORT] > 0
        assert probe.counters(pair.server) == {}
        snapshot = probe.snapshot(pair.server)
        assert [s.state.name for s in snapshot.sockets] == ["ESTABLISHED"]
        assert [found.local_port for found in snapshot.listeners] == [PORT]


def test_a_later_namespace_with_the_same_inode_begins_at_zero(probe: Probe) -> None:
    for _ in range(REUSE_TRIES):
        with fresh_netns() as first:
            inode = first.inode
            connect_to_itself(first, 5)
            assert probe.accepted(first) == 5
        with contextlib.ExitStack() as stack:
            later = namespace_with(inode, stack)
            if later is None:
                continue
            assert probe.accepted(later) == 5  # nobody has tidied up
            connect_to_itself(later, 2)
            assert probe.accepted(later) == 2
            assert probe.counters(later) == {}
            return
    pytest.fail("no inode came again")


def namespace_with(inode: int, stack: contextlib.ExitStack) -> Netns | None:
    """A new namespace with that inode, None when somebody else got it. The lowest free one is
    given out first: once all below are taken it comes, as soon as the kernel has freed it."""
    for _ in range(NAMESPACES_AT_MOST):
        namespace = stack.enter_context(fresh_netns())
        if namespace.inode == inode:
            return namespace
    return None


def connect_to_itself(namespace: Netns, times: int, port: int = PORT) -> None:
    """Connections that come and go, both ends in the namespace."""

    def body() -> None:
        with socket.create_server(("127.0.0.1", port)) as listener:
            for _ in range(times):
                with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
                    pass

    namespace.call(body)


def test_namespaces_that_are_gone_leave_nothing(probe: Probe) -> None:
    for _ in range(50):
        with fresh_netns() as namespace:
            connect_to_itself(namespace, 1)
    assert len(set(probe.conntrack.ports())) > 0
    probe.conntrack.consume_events()
    living = live_namespaces().keys()
    for inode, port in list(probe.conntrack.ports()):
        if inode not in living:
            probe.conntrack.forget_port(inode, port)
    assert {inode for inode, _ in probe.conntrack.ports()} <= living


def test_an_orphan_that_outlives_its_namespace_changes_nothing(pair: Pair, probe: Probe) -> None:
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        accepted.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                accepted.send(b"x" * (1 << 20))
    accepted.close()
    eventually(lambda: probe.counters(pair.server) == {"FIN_WAIT1": 1})
    probe.conntrack.forget_port(pair.server.inode, PORT)
    client.close()
    eventually(lambda: not probe.snapshot(pair.server).sockets)
    assert probe.conntrack.counters(pair.server.inode, PORT) is None


def test_connections_whose_events_were_missed_count_as_accepted(pair: Pair) -> None:
    with pair.listen() as listener, contextlib.ExitStack() as stack:
        for end in pair.connect(listener):
            stack.enter_context(end)
        probe = Probe()
        stack.callback(probe.conntrack.close)
        probe.conntrack.set_seeded()  # as if the connection above had come after the seeding
        for _ in range(2):  # found once, not each time
            probe.snapshot(pair.server)
            assert probe.accepted(pair.server) == 1
            assert probe.conntrack.lost()[LostPlace.CHANGE] == 1
        assert probe.counters(pair.server) == {"ESTABLISHED": 1}


def test_no_run_was_dropped_without_traffic(probe: Probe) -> None:
    assert probe.conntrack.missed() == 0


def test_many_snapshots_leak_nothing_and_move_nobody(netns: Netns, probe: Probe) -> None:
    listen_once(netns, PORT)
    probe.snapshot(netns)
    gc.collect()
    home, threads = netns_inode("thread-self"), threading.active_count()
    before = open_files()
    for _ in range(200):
        probe.snapshot(netns)
    eventually(lambda: threading.active_count() == threads)
    assert open_files() == before
    assert netns_inode("thread-self") == home


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_dead_namespace_is_not_kept_alive_by_a_snapshot(probe: Probe) -> None:
    for _ in range(REUSE_TRIES):
        with fresh_netns() as namespace:
            inode = namespace.inode
            listen_once(namespace, PORT)
            probe.snapshot(namespace)
        with contextlib.ExitStack() as stack:
            if namespace_with(inode, stack):
                return
    pytest.fail("no inode came again")


def test_what_is_no_namespace_is_an_error() -> None:
    with (
        Path("/dev/null").open() as null,
        pytest.raises(OSError, match="cannot enter the network namespace"),
    ):
        kernel_netns.call_in(null.fileno(), lambda: None)


def test_a_function_that_fails_fails_its_caller(netns: Netns) -> None:
    with pytest.raises(ZeroDivisionError):
        netns.call(lambda: 1 // 0)


def test_listeners_of_one_port_are_one_port(pair: Pair, probe: Probe) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            listener = stack.enter_context(pair.server.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((SERVER, PORT))
            listener.listen()
        for _ in range(20):
            stack.enter_context(pair.dial())
        assert probe.counters(pair.server) == {"ESTABLISHED": 20}
        snapshot = probe.snapshot(pair.server)
        assert len(snapshot.listeners) == 3
        assert sum(found.unaccepted for found in snapshot.listeners) == 20


def test_a_closed_listeners_connections_stay_counted(pair: Pair, probe: Probe) -> None:
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
    with client, accepted:
        assert probe.counters(pair.server) == {"ESTABLISHED": 1}
        assert len(probe.snapshot(pair.server).sockets) == 1
        probe.taken_events()
        with pair.listen():
            assert probe.accepted(pair.server) == 1


def test_a_dual_stack_port_has_one_count(pair: Pair, probe: Probe) -> None:
    with pair.listen(socket.AF_INET6), pair.dial(SERVER), pair.dial("fd77::1"):
        assert probe.counters(pair.server) == {"ESTABLISHED": 2}


def test_a_link_that_went_away(pair: Pair, probe: Probe) -> None:
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        ip("-n", pair.client.name, "link", "del", pair._device())
        with client, accepted:
            assert probe.counters(pair.server) == {"ESTABLISHED": 1}
