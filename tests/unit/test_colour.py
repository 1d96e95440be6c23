"""Whether output is coloured."""

import io

import pytest

from drainmon.cli.colour import wants_colour
from tests.unit.terminal import Terminal


@pytest.mark.parametrize(
    ("environment", "stream", "colour"),
    [
        ({}, Terminal(), True),
        ({"TERM": "xterm-256color"}, Terminal(), True),
        ({"TERM": "dumb"}, Terminal(), False),
        ({"NO_COLOR": ""}, Terminal(), True),
        ({"NO_COLOR": "1"}, Terminal(), False),
        ({}, io.StringIO(), False),
    ],
)
def test_colour_follows_the_terminal_and_the_environment(
    environment: dict[str, str], stream: io.StringIO, colour: bool
) -> None:
    assert wants_colour(environment, stream) == colour
