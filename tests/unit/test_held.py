"""Which of nginx's sockets are its clients'."""

from collections import Counter

from drainmon.pods.held import accepted_on

EPHEMERAL = range(32768, 61000)


def test_a_single_ephemeral_port_belongs_to_an_upstream_connection() -> None:
    assert accepted_on(Counter({8080: 1, 40000: 1, 40001: 1}), EPHEMERAL) == {8080}


def test_a_port_shared_by_connections_belongs_to_a_listener() -> None:
    assert accepted_on(Counter({40000: 2, 40001: 1}), EPHEMERAL) == {40000}


def test_every_port_counts_if_upstreams_cannot_be_told_apart() -> None:
    assert accepted_on(Counter({40000: 1, 40001: 1}), EPHEMERAL) == {40000, 40001}
    assert accepted_on(Counter(), EPHEMERAL) == frozenset()
