"""A pair with a listener; at each check, snapshot and counters are compared with ss."""

import socket
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack

from drainmon.model.snapshot import Snapshot
from tests.kernel.pair import Pair, ss_states
from tests.waiting import eventually


class PairScene(ABC):
    """Sockets of the scene are closed with `stack`."""

    def __init__(self, pair: Pair, stack: ExitStack) -> None:
        self.pair = pair
        self.stack = stack
        self.listener = stack.enter_context(pair.listen())

    def connect(self) -> tuple[socket.socket, socket.socket]:
        client, accepted = self.pair.connect(self.listener)
        return self.stack.enter_context(client), self.stack.enter_context(accepted)

    def check(self, **expected: int) -> None:
        """Wait until ss lists the expected states; a snapshot and the counters must match."""
        eventually(lambda: self._agree(Counter(expected)) or ss_states(self.pair.server))

    def _agree(self, expected: Counter[str]) -> bool:
        if ss_states(self.pair.server) != expected:
            return False
        snapshot = self.snapshot()
        assert {state.name: n for state, n in snapshot.by_state().items()} == expected
        connections = Counter(s.state.name for s in snapshot.sockets if not s.minisocket)
        assert dict(self.counters()) == dict(connections)
        return True

    @abstractmethod
    def snapshot(self) -> Snapshot: ...

    @abstractmethod
    def counters(self) -> Mapping[str, int]:
        """The number of connections counted in each state."""
