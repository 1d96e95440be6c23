"""Whether this kernel can run source core, by drainmon's own check."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from drainmon.facts import core
from drainmon.facts.fact import Status

NAME = "core"
PROGRAMS = "probe"
"""The fixture of tests/kernel that loads the programs."""

_OURS = ("libbpf", "trial load")
"""Facts that are no feature of the kernel: with these alone the tests fail."""


@cache
def why_not() -> str:
    """The features that the kernel lacks; empty when it has all of them."""
    root = Path("/")
    facts = (*core.btf(root), *core.features(no_types=False))
    lacking = [one for one in facts if one.status is Status.MISSING and one.name not in _OURS]
    said = ", ".join(f"{one.name} ({one.advice or one.found})" for one in lacking)
    return f"this kernel cannot run source core: {said}" if said else ""


def needed_by(item: pytest.Item) -> bool:
    """Whether a test runs source core: it is marked so, has the loaded programs as a fixture, or
    core as a parameter."""
    if not item.get_closest_marker("root"):
        return False
    marked = item.get_closest_marker(NAME) is not None
    turn = getattr(item, "callspec", None)
    parameter = turn is not None and NAME in turn.params.values()
    return marked or parameter or PROGRAMS in getattr(item, "fixturenames", ())


def able(sources: Iterable[str]) -> list[str]:
    """The sources without core where the kernel cannot run it: for tests of several at once."""
    return [source for source in sources if source != NAME or not why_not()]
