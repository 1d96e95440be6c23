"""What a drain has to know of its pod's nginx."""

from typing import NamedTuple


class Nginx(NamedTuple):
    """nginx at the time of a snapshot: whether one of its processes lives; whether it has ended
    since the drain began; how many connections in use have ended with a process since then; what
    it serves on that cannot be counted; whether it listens in another network namespace; how many
    of its workers may still serve clients over UDP, whether all of these quit already, and whether
    so all UDP clients are known to have been served when the last one has ended; whether one of its
    processes was ever seen."""

    alive: bool = True
    lost: bool = False
    cut: int = 0
    uncounted: tuple[str, ...] = ()
    abroad: bool = False
    udp_workers: int = 0
    udp_told: bool = False
    udp_known: bool = False
    seen: bool = True


ALIVE = Nginx()
