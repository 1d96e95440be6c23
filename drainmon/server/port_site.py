"""Takes connections to the port in pods' network namespaces, from the node only, before a byte is
read."""

import logging
import socket
from collections.abc import Callable

from aiohttp import web

from drainmon.server.limits import Admission
from drainmon.server.node_addresses import NodeAddresses
from drainmon.server.replies import raw_error
from drainmon.server.seats import Seats, refuse
from drainmon.server.unix_site import TOO_MANY

log = logging.getLogger(__name__)

NOT_THE_NODE = raw_error(403, "cannot answer: only the pod's own node may call")


class PortSite:
    """Takes connections for a runner that is set up. `refused` is called for each connection that
    does not come from the node."""

    def __init__(
        self, runner: web.AppRunner, node: NodeAddresses, refused: Callable[[], None]
    ) -> None:
        self._seats = Seats(runner)
        self._node = node
        self._refused = refused

    def take(self, netns: int, connection: socket.socket, now: float) -> None:
        """Take a connection made in the network namespace. Raises OSError when files or memory are
        short."""
        try:
            peer = connection.getpeername()[0]
        except OSError:  # the peer has disconnected already
            connection.close()
            return
        try:
            from_here = self._node.has(peer)
        except OSError as error:
            refuse(connection, raw_error(503, str(error)))
            raise
        if not from_here:
            self._refused()
            log.debug("caller refused", extra={"netns": netns, "address": peer})
            refuse(connection, NOT_THE_NODE)
            return
        admission = self._seats.limits.admit(netns, now)
        if admission is Admission.REFUSED:
            refuse(connection, TOO_MANY)
        else:
            self._seats.give(connection, netns, admission, netns=netns)
