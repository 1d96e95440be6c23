"""Reads the sockets on a pod's ports from the records of a snapshot by bpf/."""

from collections.abc import Iterator
from struct import Struct
from typing import Any

from drainmon.kernel.wire import SOCKET_RECORD, RecordFlag, SocketRecord
from drainmon.model.snapshot import Listener
from drainmon.model.standing import Socket
from drainmon.model.tcp import TcpState

_STATES = {int(state): state for state in TcpState}

_LISTEN = int(TcpState.LISTEN)
_TIME_WAIT = int(TcpState.TIME_WAIT)
_STATE_AT = SocketRecord.state.offset
_PORT_AT = SocketRecord.local_port.offset
_PORT = Struct("=H")


class Records:
    """The sockets in parts of `SocketRecord`s."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.listeners: list[Listener] = []
        self.time_wait = 0
        self.mptcp = False
        """Whether there are subflows of MPTCP connections."""

    def add(self, records: bytes, ports: frozenset[int]) -> None:
        """Add whole records. Raises struct.error for a torn one."""
        for (
            local,
            remote,
            received,
            sent,
            opened_ns,
            unsent,
            unread,
            idle_in,
            idle_out,
            idle_ack,
            rto,
            local_port,
            remote_port,
            state,
            flags,
            retransmits,
            probes_out,
        ) in self._open(records, ports):
            if local_port not in ports:
                continue
            if state == _LISTEN:
                self.listeners.append(Listener(local, local_port, unread, unsent))
            else:
                known = not flags & RecordFlag.BYPASSED
                self.mptcp |= bool(flags & RecordFlag.MPTCP)
                self.sockets.append(
                    Socket(
                        local,
                        local_port,
                        remote,
                        remote_port,
                        _STATES[state],
                        received if known else None,
                        unsent,
                        idle_in / 1e3,
                        idle_out / 1e3,
                        opened_ns / 1e9 if opened_ns else None,
                        bool(flags & (RecordFlag.TIMEWAIT | RecordFlag.REQUEST)),
                        bool(flags & RecordFlag.PROBE),
                        sent if known else None,
                        unread,
                        idle_ack / 1e3,
                        bool(flags & RecordFlag.ORPHAN),
                        retransmits,
                        probes_out,
                        rto / 1e3,
                    )
                )

    def _open(self, records: bytes, ports: frozenset[int]) -> Iterator[tuple[Any, ...]]:
        """The records of sockets that are not in TIME_WAIT. Those in TIME_WAIT are counted by state
        and port without being unpacked: there may be very many."""
        states = records[_STATE_AT :: SOCKET_RECORD.size]
        if _TIME_WAIT not in states or len(records) % SOCKET_RECORD.size:
            yield from SOCKET_RECORD.iter_unpack(records)
            return
        for number, state in enumerate(states):
            at = number * SOCKET_RECORD.size
            if state != _TIME_WAIT:
                yield SOCKET_RECORD.unpack_from(records, at)
            elif _PORT.unpack_from(records, at + _PORT_AT)[0] in ports:
                self.time_wait += 1
