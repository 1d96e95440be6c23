"""Every hook meets the same traffic: it follows from the seed."""

from bench.rig.clients import Load, LoadSpec
from bench.rig.outcome import Kind, Lost


def nobody(kind: Kind, lost: Lost, race: bool) -> None:
    """Nothing is lost here."""


def habits(spec: LoadSpec) -> list[tuple[Kind, float, float]]:
    """Of each client: when it learns of the end, and its first choice."""
    crowd = Load(spec, nobody).crowd()
    return [(kind, client.delay, client.random.random()) for kind, client in crowd]


def test_a_seed_is_a_traffic() -> None:
    assert habits(LoadSpec(seed=1)) == habits(LoadSpec(seed=1)) != habits(LoadSpec(seed=2))
    assert len(set(habits(LoadSpec()))) == 20 + 8 + 4 + 12 + 6


def test_a_kind_more_changes_nothing_for_the_others() -> None:
    assert habits(LoadSpec(streams=3))[:-3] == habits(LoadSpec())


def test_learns_within_the_propagation() -> None:
    spec = LoadSpec(earliest=1.0, propagation=3.0)
    assert all(1.0 <= delay <= 3.0 for _, delay, _ in habits(spec))
