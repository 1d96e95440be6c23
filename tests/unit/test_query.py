"""A drain's options in a query."""

import pytest

from drainmon.drain.policy import Policy
from drainmon.model.ignored import Ignored
from drainmon.server.query import parse_query


def test_every_option_is_parsed() -> None:
    query = [
        ("timeout", "55s"),
        ("min-wait", "500ms"),
        ("quiet", "2"),
        ("exit-at", "3"),
        ("roll", "no"),
        ("unreachable-after", "1m"),
        ("ignore-peer", "10.0.0.0/8"),
        ("ignore-port", "9113,9114"),
        ("ignore-port", "9115"),
    ]
    assert parse_query(query) == Policy(
        timeout=55.0,
        min_wait=0.5,
        quiet=2.0,
        exit_at=3,
        roll=False,
        unreachable_after=60.0,
        ignored=Ignored.parse(["10.0.0.0/8"], ["9113", "9114", "9115"]),
    )
    assert parse_query([]) == Policy()


@pytest.mark.parametrize(
    ("query", "min_wait"),
    [
        ({"timeout": "3s"}, 1.5),
        ({"timeout": "3s", "min-wait": "3s"}, 1.5),
        ({"timeout": "6s"}, 5.0),
    ],
)
def test_min_wait_is_at_most_half_of_the_timeout(query: dict[str, str], min_wait: float) -> None:
    assert parse_query(query.items()).min_wait == min_wait


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("timeout", "soon", "cannot drain: timeout: 'soon' is not a duration (try 25s, 500ms, 2m)"),
        ("timeout", "-1s", "cannot drain: timeout: '-1s' is not a duration (try 25s, 500ms, 2m)"),
        ("timeout", "9999999s", "cannot drain: timeout is out of range (0 to 1e+06)"),
        ("exit-at", "1.5", "cannot drain: exit-at: '1.5' is not a number of connections (try 0)"),
        ("exit-at", "9" * 8, f"cannot drain: exit-at: '{'9' * 8}' is not a number of connections"),
        ("roll", "maybe", "cannot drain: roll: 'maybe' is neither yes nor no"),
        ("ignore-peer", "x", "cannot ignore the peer 'x': neither an address nor a network"),
        ("ignore-port", "0", "cannot ignore the port '0': not a number from 1 to 65535"),
        ("min_wait", "5s", "cannot drain: 'min_wait' is not one of timeout, min-wait, quiet"),
        ("elapsed", "5", "cannot drain: 'elapsed' is not one of timeout"),
    ],
)
def test_bad_options_are_refused(name: str, value: str, why: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_query([(name, value)])
    assert str(refused.value).startswith(why)
