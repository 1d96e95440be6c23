"""Reads a pod's sockets by sock_diag."""

import time
from collections.abc import Iterator
from contextlib import suppress
from socket import AF_INET, ntohs

from drainmon.kernel.diag_message import TIMER_TIME_WAIT, Fields, Reader
from drainmon.kernel.sock_diag import CONNECTED, LISTENING, PORTS_FILTERED, TIME_WAIT, SockDiag
from drainmon.model.snapshot import Listener
from drainmon.model.standing import Socket
from drainmon.model.tcp import TcpState
from drainmon.procfs.net_tcp import MAPPED
from drainmon.sources.reading import Ends, Reading, Wanted

_STATES = [TcpState.CLOSE, *TcpState]
"""The states, by number."""


def read(diag: SockDiag, wanted: Wanted, mptcp: bool) -> Reading:
    """The sockets of the namespace of `diag`; with `mptcp`, judged by their MPTCP connections.
    Raises OSError "cannot list sockets: why"."""
    reading = Reading()
    reader = Reader()
    for number, part in enumerate(diag.tcp(CONNECTED | LISTENING, wanted.ports)):
        reading.in_parts |= part.interrupted or number > 0
        _add(reading, reader.read(part), wanted)
    _count_closed(reading, diag, wanted)
    if mptcp:
        judge_by_mptcp(reading.sockets, diag, wanted.ports)
    return reading


def _add(reading: Reading, messages: Iterator[Fields], wanted: Wanted) -> None:
    new = time.monotonic() if wanted.watched else None
    ports, opened, known = wanted.ports, reading.opened, wanted.opened
    for (
        _, family, state, timer, local_port, remote_port, here, there, cookie, unread, unsent,
        inode, info_size, _, retransmits, probes, rto, idle_out, idle_in, idle_ack, received, sent,
    ) in messages:  # fmt: skip
        port = ntohs(local_port)
        if port not in ports:
            continue
        local = MAPPED + here[:4] if family == AF_INET else here
        remote = MAPPED + there[:4] if family == AF_INET else there
        if state == TcpState.LISTEN:
            reading.listeners.append(Listener(local, port, unread, unsent))
        elif not info_size or timer == TIMER_TIME_WAIT:
            reading.sockets.append(
                Socket(
                    local, port, remote, ntohs(remote_port), _STATES[state], None, 0, None, None,
                    minisocket=True,
                )
            )  # fmt: skip
        else:
            since = opened[cookie] = known.get(cookie, new)
            reading.sockets.append(
                Socket(
                    local, port, remote, ntohs(remote_port), _STATES[state], received, unsent,
                    idle_in / 1e3, idle_out / 1e3, since, False, False, sent, unread,
                    idle_ack / 1e3, not inode, retransmits, probes, rto / 1e6,
                )
            )  # fmt: skip


def _count_closed(reading: Reading, diag: SockDiag, wanted: Wanted) -> None:
    """Count sockets in TIME_WAIT: there may be very many, and mostly only their number matters."""
    reader = Reader()
    for part in diag.tcp(TIME_WAIT, wanted.ports):
        if not wanted.closed and len(wanted.ports) <= PORTS_FILTERED:
            reading.time_wait += len(part.starts)
            continue
        for fields in reader.read(part):
            ends = ends_of(fields)
            if ends[1] in wanted.ports:
                reading.time_wait += 1
                reading.closed.append(ends)


def ends_of(fields: Fields) -> Ends:
    """The ends of a message's socket."""
    local_port, remote_port, local, remote = fields[4:8]
    if fields[1] == AF_INET:
        local, remote = MAPPED + local[:4], MAPPED + remote[:4]
    return local, ntohs(local_port), remote, ntohs(remote_port)


def judge_by_mptcp(sockets: list[Socket], diag: SockDiag, ports: frozenset[int]) -> None:
    """Give subflows the state of their MPTCP connection, which has the ends of its first subflow.
    Joined subflows keep TCP's state."""
    found: dict[Ends, tuple[TcpState, bool]] = {}
    reader = Reader()
    with suppress(OSError):  # a kernel without MPTCP
        for part in diag.mptcp(ports):
            for fields in reader.read(part):
                found[ends_of(fields)] = _STATES[fields[2]], not fields[11]
    if not found:
        return
    for number, one in enumerate(sockets):
        if one[:4] in found and not one.minisocket:
            state, orphan = found[one[:4]]
            sockets[number] = one._replace(mptcp=state, orphan=orphan)
