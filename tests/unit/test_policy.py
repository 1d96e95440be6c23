"""A drain's invalid options are refused with a reason."""

from typing import Any

import pytest

from drainmon.drain.policy import Policy, fitted
from drainmon.model.ignored import Ignored
from drainmon.server.api_self import parse_policy


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"timeout": -1}, "timeout is out of range"),
        ({"min_wait": float("nan")}, "min_wait is out of range"),
        ({"quiet": float("inf")}, "quiet is out of range"),
        ({"timeout": 10**400}, "timeout is out of range"),
        ({"exit_at": 10**400}, "exit_at is out of range"),
        ({"timeout": "25s"}, "timeout is not a number"),
        ({"timeout": True}, "timeout is not a number"),
        ({"exit_at": 1.5}, "exit_at is not a whole number"),
        ({"roll": 1}, "roll is not true or false"),
        ({"timeout": None}, "timeout is not a number"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"cannot drain: {why}"):
        Policy(**options)


def test_options_of_a_request_are_parsed() -> None:
    policy = parse_policy(b'{"timeout": 10, "elapsed": 2.5, "colour": "blue"}')
    assert policy == Policy(timeout=10, elapsed=2.5)
    assert parse_policy(b"") == Policy()


def test_the_margin_is_added_to_the_given_timeout() -> None:
    policy = parse_policy(b'{"timeout": 7.75, "margin": 0.250}')
    assert (policy.timeout, policy.given_timeout) == (7.75, 8.0)
    assert parse_policy(b'{"timeout": 7.75}').given_timeout == 7.75  # a client without margins
    with pytest.raises(ValueError, match="cannot drain: margin is out of range"):
        parse_policy(b'{"margin": -1}')


def test_ignored_peers_and_ports_of_a_request_are_parsed() -> None:
    policy = parse_policy(b'{"ignore_peers": ["10.0.0.0/8", "::1"], "ignore_ports": [9113, "81"]}')
    assert policy == Policy(ignored=Ignored.parse(["10.0.0.0/8", "::1"], ["81", "9113"]))
    with pytest.raises(ValueError, match=r"cannot ignore the peer '10.0.0.0/33': neither an"):
        parse_policy(b'{"ignore_peers": ["10.0.0.0/33"]}')


def test_ports_and_unreachable_after_of_a_request_are_parsed() -> None:
    policy = parse_policy(b'{"ports": [443, 80], "unreachable_after": 0}')
    assert policy == Policy(ports=frozenset({80, 443}), unreachable_after=0)
    assert policy.rules.unreachable_after == float("inf")
    assert Policy().rules.unreachable_after == 10


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "the options are not JSON"),
        (b"\xff", "the options are not JSON"),
        (b"[]", "the options are not a JSON object"),
        (b'{"elapsed": "x"}', "elapsed is not a number"),
        (b'{"elapsed": -1}', "elapsed is out of range"),
        (b'{"timeout": 1e999}', "timeout is out of range"),
        (b"[" * 4000, "the options are not JSON"),
        (b'{"ignore_peers": "10.0.0.0/8"}', "ignore_peers is not a list"),
        (b'{"ports": 80}', "ports is not a list of ports"),
        (b'{"ports": [0]}', "ports is not a list of ports"),
        (b'{"ports": [true]}', "ports is not a list of ports"),
        (b'{"ports": [65536]}', "ports is not a list of ports"),
        (b'{"ignore_ports": [1.5]}', "ignore_ports is not a list of texts or numbers"),
        (b'{"ignore_ports": [true]}', "ignore_ports is not a list"),
        (b'{"ignore_peers": [null]}', "ignore_peers is not a list"),
    ],
)
def test_bad_requests_are_refused(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"cannot drain: {why}"):
        parse_policy(body)


@pytest.mark.parametrize(
    ("timeout", "margin", "min_wait", "fits"),
    [(3, 0, 5, 1.5), (3, 0, 3, 1.5), (2.75, 0.25, 5, 1.5), (6, 0, 5, 5), (0, 0, 5, 0)],
)
def test_half_of_the_timeout_is_for_waiting(
    timeout: float, margin: float, min_wait: float, fits: float
) -> None:
    policy = Policy(timeout=timeout, margin=margin, min_wait=min_wait)
    assert fitted(policy).min_wait == fits
