"""What a drain has to know of its pod's nginx."""

from typing import NamedTuple


class Nginx(NamedTuple):
    """nginx at the time of a snapshot: whether one of its processes lives; whether it has ended
    since the drain began; how many connections in use have ended with a process since then; what
    it serves on that cannot be counted; whether it listens in another network namespace."""

    alive: bool = True
    lost: bool = False
    cut: int = 0
    uncounted: tuple[str, ...] = ()
    abroad: bool = False


ALIVE = Nginx()
