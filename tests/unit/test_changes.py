"""Updates for a follower: everything, or the changes since its last turn."""

import json

from hypothesis import given
from hypothesis import strategies as st

from drainmon.server.changes import REMEMBERED, Changes

TURNS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2)), min_size=1, max_size=12
)


@given(TURNS, st.data())
def test_a_follower_that_skips_turns_gets_every_change(
    turns: list[dict[str, int]], data: st.DataObject
) -> None:
    changes = Changes()
    known: dict[str, int] = {}
    since = 0
    for things in turns:
        changes.update(things)
        if things is turns[-1] or data.draw(st.booleans(), label="looks"):
            for name in json.loads(changes.gone(since)):
                known.pop(name, None)
            known.update(json.loads(changes.changed(since)))
            assert known == things
            since = changes.turn


def test_unchanged_things_are_not_sent_again() -> None:
    changes = Changes()
    changes.update({"a": 1, "b": [1]})
    assert json.loads(changes.changed(0)) == {"a": 1, "b": [1]}
    changes.update({"a": 2, "b": [1]})
    assert json.loads(changes.changed(1)) == {"a": 2}
    assert changes.changed(2) == "{}"


def test_a_thing_that_came_back_is_not_gone() -> None:
    changes = Changes()
    for things in ({"a": 1}, {}, {"a": 1}):
        changes.update(things)
    assert changes.gone(1) == "[]"
    assert json.loads(changes.changed(1)) == {"a": 1}


def test_a_follower_that_was_away_too_long_gets_everything() -> None:
    changes = Changes()
    changes.update({"a": 1})
    assert changes.knows(1)
    for _ in range(REMEMBERED + 1):
        changes.update({})
    assert not changes.knows(1)
    assert not changes.knows(0)
    assert changes.gone(0) == "[]"
    assert changes.knows(changes.turn)
