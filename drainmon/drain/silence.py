"""Whether UDP clients have vanished. There is no socket for each of them, and who vanishes amid a
download holds nginx's worker for as long as keepalive_timeout; but then its namespace's counters
show that nginx sends, and nobody answers."""

ANSWER = 2.0
"""Seconds in which nginx acknowledges what came last, or a client what it was sent."""


class Silence:
    """Since when no datagram has come; times are monotonic seconds, counters those of the kernel
    for the whole namespace."""

    def __init__(self) -> None:
        self._received: int | None = None
        self._sent = 0
        self._since = self._now = 0.0
        self._unanswered: float | None = None

    def saw(self, now: float, received: int, sent: int) -> None:
        """The counters, now."""
        self._now = now
        if received != self._received:
            self._received, self._since, self._unanswered = received, now, None
        if now - self._since <= ANSWER:
            self._sent = sent
        elif sent != self._sent and self._unanswered is None:
            self._unanswered = now

    def proves_gone(self, after: float, quic: bool) -> bool:
        """Whether it has lasted for so many seconds. Clients of QUIC are silent, too, while they
        wait for an answer that takes its time: only one that does not answer is gone."""
        if self._now - self._since < after:
            return False
        return not quic or (self._unanswered is not None and self._now - self._unanswered >= ANSWER)
