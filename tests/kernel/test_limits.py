"""Full maps, and namespaces that come and go."""

import contextlib
import gc
import os
import socket
import threading
from pathlib import Path

import pytest

from bench.rig.netns import Netns, fresh_netns, ip
from drainmon.kernel import netns as kernel_netns
from drainmon.procfs.process import netns_inode
from tests.kernel.pair import PORT, SERVER, Pair
from tests.kernel.probe import Probe
from tests.kernel.sourced import open_files
from tests.listening import listen_on_many
from tests.waiting import eventually

pytestmark = pytest.mark.root

PORTS_AT_MOST = 65536
WATCHES_AT_MOST = 16384
"""Entries of the maps (bpf/maps.h)."""
NAME = f"web{os.getpid()}"
"""Unique on this machine."""
REUSE_TRIES = 10
NAMESPACES_AT_MOST = 50


def listen_once(namespace: Netns, port: int) -> None:
    with namespace.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()


def test_listeners_of_other_programs_cause_no_event(pair: Pair, probe: Probe) -> None:
    """One pod listens on very many ports; no port is kept."""
    probe.conntrack.announce([NAME])
    probe.conntrack.watch_listeners()
    listen_on_many(pair.client, range(20000, 40000))
    assert probe.taken_events() == []
    assert set(probe.conntrack.all_counters()) == {(pair.server.inode, PORT)}
    assert not any(probe.conntrack.lost().values())


def test_a_full_map_of_ports_is_reported(netns: Netns, probe: Probe) -> None:
    added = 0
    while probe.conntrack.add_port(added, PORT):
        added += 1
        assert added <= PORTS_AT_MOST
    assert added == PORTS_AT_MOST - 1  # one is the fixture's
    probe.conntrack.forget_port(0, PORT)
    assert probe.conntrack.add_port(added, PORT)
    connect_to_itself(netns, 1)
    assert probe.accepted(netns) == 1


def test_events_of_all_watches_fit_into_the_ring_buffer(netns: Netns, probe: Probe) -> None:
    ports = range(10000, 10000 + WATCHES_AT_MOST)
    for port in ports:
        probe.conntrack.add_port(netns.inode, port)
        assert probe.conntrack.watch(netns.inode, port)
    assert not probe.conntrack.watch(netns.inode, 9999)
    listen_on_many(netns, ports)
    assert {port for _, port in probe.taken_events()} == {*ports}
    assert not any(probe.conntrack.lost().values())


def connect_to_itself(namespace: Netns, times: int, port: int = PORT) -> None:
    """Open and close connections with both ends in the namespace."""

    def body() -> None:
        with socket.create_server(("127.0.0.1", port)) as listener:
            for _ in range(times):
                with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
                    pass

    namespace.call(body)


def namespace_with(inode: int, stack: contextlib.ExitStack) -> Netns | None:
    """A new namespace with that inode, None when another process got the inode. The lowest free
    inode is given out first: once all below are taken, this one follows, as soon as the kernel has
    freed it."""
    for _ in range(NAMESPACES_AT_MOST):
        namespace = stack.enter_context(fresh_netns())
        if namespace.inode == inode:
            return namespace
    return None


def test_an_orphan_that_outlives_its_namespace_is_not_counted(pair: Pair, probe: Probe) -> None:
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


def test_no_run_was_dropped_without_traffic(probe: Probe) -> None:
    assert probe.conntrack.missed() == 0


def test_many_snapshots_leak_nothing_and_leave_threads_in_place(netns: Netns, probe: Probe) -> None:
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


def test_entering_a_file_that_is_not_a_namespace_is_an_error() -> None:
    with (
        Path("/dev/null").open() as null,
        pytest.raises(OSError, match="cannot enter the network namespace"),
    ):
        kernel_netns.call_in(null.fileno(), lambda: None)


def test_an_exception_in_the_namespace_reaches_the_caller(netns: Netns) -> None:
    with pytest.raises(ZeroDivisionError):
        netns.call(lambda: 1 // 0)


def test_listeners_of_one_port_share_its_counters(pair: Pair, probe: Probe) -> None:
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


def test_connections_of_a_closed_listener_stay_counted(pair: Pair, probe: Probe) -> None:
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
    with client, accepted:
        assert probe.counters(pair.server) == {"ESTABLISHED": 1}
        assert len(probe.snapshot(pair.server).sockets) == 1
        with pair.listen():
            assert probe.accepted(pair.server) == 1


def test_a_dual_stack_port_has_one_count(pair: Pair, probe: Probe) -> None:
    with pair.listen(socket.AF_INET6), pair.dial(SERVER), pair.dial("fd77::1"):
        assert probe.counters(pair.server) == {"ESTABLISHED": 2}


def test_a_connection_stays_counted_after_its_link_is_gone(pair: Pair, probe: Probe) -> None:
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        ip("-n", pair.client.name, "link", "del", pair._device())
        with client, accepted:
            assert probe.counters(pair.server) == {"ESTABLISHED": 1}
