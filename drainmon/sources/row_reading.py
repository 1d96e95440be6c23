"""Reads a pod's sockets from the rows of /proc/<pid>/net/tcp and tcp6, which have neither byte
counts nor times."""

import time
from collections.abc import Iterable

from drainmon.model.snapshot import Listener
from drainmon.model.standing import Socket
from drainmon.model.tcp import TcpState
from drainmon.procfs import net_files
from drainmon.procfs.net_tcp import Row, find_rows, parse_row
from drainmon.sources.reading import Reading, Wanted

_STATES = {int(state): state for state in TcpState}


def read(tables: Iterable[int], wanted: Wanted) -> Reading:
    """The sockets of open tables."""
    reading = Reading()
    for table in tables:
        size = 0
        for piece in net_files.read_rows(table):
            new = time.monotonic() if wanted.watched else None
            for text in find_rows(piece, wanted.ports):
                row = parse_row(text)
                if row is not None and row.state in _STATES:
                    _add(reading, row, wanted, new)
            size += len(piece)
        reading.in_parts |= size > net_files.PAGE
    return reading


def _add(reading: Reading, row: Row, wanted: Wanted, new: float | None) -> None:
    ends, state = row[:4], _STATES[row.state]
    if state is TcpState.LISTEN:
        reading.listeners.append(Listener(row.local, row.local_port, row.rx_queue, None))
    elif state is TcpState.TIME_WAIT:
        reading.time_wait += 1
        if wanted.closed:
            reading.closed.append(ends)
    elif row.minisocket:
        reading.sockets.append(Socket(*ends, state, None, 0, None, None, minisocket=True))
    else:
        since = reading.opened[ends] = wanted.opened.get(ends, new)
        reading.sockets.append(
            Socket(
                *ends,
                state,
                None,
                row.tx_queue,
                None,
                None,
                since,
                unread=row.rx_queue,
                orphan=not row.inode,
                retransmits=row.retransmits,
                probes_out=row.probes,
                rto=row.rto,
            )
        )
