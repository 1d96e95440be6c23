"""What a drain has to know about its pod's nginx."""

from typing import NamedTuple


class Nginx(NamedTuple):
    """nginx at the time of a snapshot.

    alive: one of its processes lives. lost: nginx has ended since the drain began. cut: connections
    in use that ended with a process since then. uncounted: what nginx serves on that cannot be
    counted. listens_elsewhere: a listener is in another network namespace. udp_workers: workers
    that may still serve UDP clients. udp_quitting: all of these are quitting. udp_known: once they
    have exited, all UDP clients are known to have been served. seen: one of nginx's processes was
    ever seen.
    """

    alive: bool = True
    lost: bool = False
    cut: int = 0
    uncounted: tuple[str, ...] = ()
    listens_elsewhere: bool = False
    udp_workers: int = 0
    udp_quitting: bool = False
    udp_known: bool = False
    seen: bool = True


ALIVE = Nginx()
