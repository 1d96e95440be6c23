"""Whether UDP clients have vanished. They have no socket each, and a client that vanishes during a
download holds nginx's worker for keepalive_timeout; but then its namespace's counters show that
nginx sends, and no client answers."""

ANSWER = 2.0
"""Seconds in which nginx or a client acknowledges the last datagram."""


class Silence:
    """How long no datagram has arrived. Times are monotonic seconds, counters the kernel's for the
    whole namespace."""

    def __init__(self) -> None:
        self._received: int | None = None
        self._sent = 0
        self._since = self._now = 0.0
        self._unanswered: float | None = None

    def saw(self, now: float, received: int, sent: int) -> None:
        """Record the counters at `now`."""
        self._now = now
        if received != self._received:
            self._received, self._since, self._unanswered = received, now, None
        if now - self._since <= ANSWER:
            self._sent = sent
        elif sent != self._sent and self._unanswered is None:
            self._unanswered = now

    def proves_gone(self, after: float, quic: bool) -> bool:
        """Whether silence has lasted for `after` seconds. A QUIC client is also silent while it
        waits for a slow response: it is gone only when it does not acknowledge."""
        if self._now - self._since < after:
            return False
        return not quic or (self._unanswered is not None and self._now - self._unanswered >= ANSWER)
