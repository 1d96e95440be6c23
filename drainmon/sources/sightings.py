"""What is known of a pod's connections after a look at /proc/net/tcp.

Rows stay text as long as nobody asks for the connection: there may be 100,000, and counting needs
their states alone. Pure; times are monotonic seconds.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from drainmon.model.snapshot import NEVER_USED_AFTER, Listener, Socket, Tally, known_time
from drainmon.model.tcp import IN_FLIGHT, TcpState
from drainmon.procfs.net_tcp import Row, columns_of, parse_local, parse_row
from drainmon.sources.row_diff import Rows, split_rows

STATES = {b"%02X" % state: state for state in TcpState}
"""By the text of the column."""

IN_FLIGHT_CODES = frozenset(code for code, state in STATES.items() if state in IN_FLIGHT)
ESTABLISHED = b"%02X" % TcpState.ESTABLISHED

_NO_QUEUE = b"00000000"


@dataclass(frozen=True)
class Sightings:
    """One pod's connections, by their rows' text. The same text is the same connection: it has the
    socket's inode and address.

    `rows` are all but those in TIME_WAIT, which are only counted; `opened` is when those were
    that were not there when somebody first looked; `silent` since when those are known on which
    nothing ever came; `codes` counts the connections by the text of their state. No connections
    are the rows of `minisockets`, of `listening` sockets, and what is `unreadable`.
    """

    rows: Rows = field(default_factory=Rows)
    opened: dict[bytes, float] = field(default_factory=dict)
    silent: dict[bytes, float] = field(default_factory=dict)
    codes: Counter[bytes] = field(default_factory=Counter)
    minisockets: frozenset[bytes] = frozenset()
    listening: dict[bytes, Row] = field(default_factory=dict)
    unreadable: frozenset[bytes] = frozenset()
    time_wait: int = 0
    finished: float = float("-inf")

    def __len__(self) -> int:
        return self.codes.total() + len(self.minisockets)

    def __contains__(self, socket: object) -> bool:
        return any(socket == own for own in self)

    def __iter__(self) -> Iterator[Socket]:
        """Every connection and minisocket, made from its row."""
        for text in self._rows():
            row = parse_row(text)
            if row is None:
                continue
            since = self.silent.get(text)
            idle = 0.0 if since is None else self.finished - since
            yield Socket(
                *row[:4], TcpState(row.state), int(since is None), row.tx_queue,
                idle, idle, self.opened.get(text), row.minisocket,
            )  # fmt: skip

    def _rows(self) -> Iterator[bytes]:
        others = self.listening.keys() | self.unreadable
        return (row for row in split_rows(self.rows.text) if row not in others)

    def tally(self) -> Tally:
        """All of them, counted from the text."""
        unused = {row for row, since in self.silent.items() if self._never_used(row, since)}
        landed = unused | self.minisockets
        if not IN_FLIGHT_CODES.issuperset(+self.codes):
            landed |= {row for row in self.opened if code_of(row) not in IN_FLIGHT_CODES}
        flying = self.opened.keys() - landed if landed else self.opened
        nothing = float("-inf")
        return Tally(
            {STATES[code]: number for code, number in self.codes.items() if number},
            Counter(STATES[code_of(row)] for row in self.minisockets),
            len(unused),
            known_time(max(self.opened.values(), default=nothing)),
            known_time(max(map(self.opened.__getitem__, flying), default=nothing)),
        )

    def _never_used(self, text: bytes, since: float) -> bool:
        return (
            self.finished - since > NEVER_USED_AFTER
            and code_of(text) == ESTABLISHED
            and text[columns_of(text).tx_queue] == _NO_QUEUE
        )

    def listeners(self) -> tuple[Listener, ...]:
        """The listening sockets."""
        return tuple(
            Listener(row.local, row.local_port, row.rx_queue, None)
            for row in self.listening.values()
        )

    def local_ends(self) -> set[tuple[bytes, int]]:
        """The local addresses and ports that have connections."""
        return {parse_local(end) for end in {row[columns_of(row).local] for row in self._rows()}}


def code_of(text: bytes) -> bytes:
    """The text of a row's state."""
    return text[columns_of(text).state]
