"""Every hook meets the same traffic: it follows from the seed."""

from bench.rig.clients import Load, LoadSpec
from bench.rig.outcome import Kind, Lost


def ignore_loss(kind: Kind, lost: Lost, race: bool) -> None:
    """Ignores losses: none occurs here."""


def habits(spec: LoadSpec) -> list[tuple[Kind, float, float]]:
    """For each client, when it learns of the termination, and its first random number."""
    crowd = Load(spec, ignore_loss).crowd()
    return [(kind, client.delay, client.random.random()) for kind, client in crowd]


def test_the_same_seed_gives_the_same_traffic() -> None:
    assert habits(LoadSpec(seed=1)) == habits(LoadSpec(seed=1)) != habits(LoadSpec(seed=2))
    assert len(set(habits(LoadSpec()))) == 20 + 8 + 4 + 12 + 6


def test_another_kind_does_not_change_other_clients_traffic() -> None:
    assert habits(LoadSpec(streams=3))[:-3] == habits(LoadSpec())


def test_clients_learn_of_the_termination_within_the_propagation() -> None:
    spec = LoadSpec(earliest=1.0, propagation=3.0)
    assert all(1.0 <= delay <= 3.0 for _, delay, _ in habits(spec))
