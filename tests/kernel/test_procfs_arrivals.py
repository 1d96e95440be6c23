"""Source procfs's memory between looks: arrivals, and the age of connections."""

import pytest

from tests.kernel.eyes import Scene, eyes_on_pair, scene_of_eyes  # noqa: F401 - fixtures
from tests.waiting import eventually

pytestmark = pytest.mark.root


def test_arrivals_are_counted_from_the_first_look_on(scene: Scene) -> None:
    scene.connect()
    first = scene.eyes.counters()
    assert (first.by_state, first.accepted) == ({scene.eyes.only().state: 1}, 0)
    assert first.last_accept is not None  # unknown, as nothing was seen before
    before = scene.eyes.snapshot()
    for _ in range(3):
        for end in scene.pair.connect(scene.listener):
            end.close()
    after = scene.eyes.snapshot()
    counts = scene.eyes.counters()
    assert (counts.accepted, counts.last_accept) == (3, after.finished)
    assert before.finished < after.taken
    assert scene.eyes.snapshot().last_opened() in {None, after.last_opened()}


def test_a_new_connection_is_dated_by_the_look_that_finds_it(scene: Scene) -> None:
    scene.connect()
    assert scene.eyes.only().opened is None
    scene.connect()
    snapshot = scene.eyes.snapshot()
    opened = snapshot.last_opened()
    assert opened is not None
    assert snapshot.taken <= opened <= snapshot.finished


def test_counters_and_snapshot_share_a_look(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drainmon.sources.procfs.LEAST", 60.0)
    scene.eyes.snapshot()
    scene.connect()
    assert scene.eyes.counters().accepted == 0
    monkeypatch.setattr("drainmon.sources.procfs.LEAST", 0.0)
    eventually(lambda: scene.eyes.counters().accepted == 1)


def test_a_dead_pods_counts_are_the_last_known(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.connect()
    known = scene.eyes.counters()
    scene.eyes.idle.close()
    monkeypatch.setattr("drainmon.sources.procfs.LEAST", 0.0)
    assert scene.eyes.counters() == known
    with pytest.raises(FileNotFoundError, match=r"cannot open /proc/\d+/ns/net: No such file"):
        scene.eyes.source.open(scene.eyes.pid)


def test_counts_are_forgotten_when_a_pod_is_gone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not depend on the namespace: a pod whose nginx restarted has a new number."""
    scene.eyes.snapshot()
    scene.connect()
    scene.eyes.snapshot()
    scene.eyes.source.follow([])
    assert scene.eyes.counters().accepted == 1
    monkeypatch.setattr("drainmon.sources.procfs.KEPT", -1.0)
    scene.eyes.source.follow([scene.eyes.pod])
    assert scene.eyes.counters().accepted == 1
    scene.eyes.source.follow([])
    assert scene.eyes.counters().accepted == 0
