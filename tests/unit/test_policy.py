"""Options of a drain that make no sense are refused with a reason."""

from typing import Any

import pytest

from drainmon.drain.policy import Policy
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
def test_bad_values(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"cannot drain: {why}"):
        Policy(**options)


def test_options_of_a_request() -> None:
    policy = parse_policy(b'{"timeout": 10, "elapsed": 2.5, "colour": "blue"}')
    assert policy == Policy(timeout=10, elapsed=2.5)
    assert parse_policy(b"") == Policy()


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
    ],
)
def test_bad_requests(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"cannot drain: {why}"):
        parse_policy(body)
