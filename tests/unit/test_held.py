"""Which of the sockets that nginx holds are its clients'."""

from collections import Counter

from drainmon.pods.held import accepted_on

EPHEMERAL = range(32768, 61000)


def test_a_port_of_its_own_from_those_that_the_kernel_gives_is_an_upstream() -> None:
    assert accepted_on(Counter({8080: 1, 40000: 1, 40001: 1}), EPHEMERAL) == {8080}


def test_a_port_that_several_share_is_a_listeners() -> None:
    assert accepted_on(Counter({40000: 2, 40001: 1}), EPHEMERAL) == {40000}


def test_where_nothing_tells_them_apart_every_port_counts() -> None:
    assert accepted_on(Counter({40000: 1, 40001: 1}), EPHEMERAL) == {40000, 40001}
    assert accepted_on(Counter(), EPHEMERAL) == frozenset()
