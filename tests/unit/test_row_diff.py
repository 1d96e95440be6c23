"""What has changed between two passes over rows."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from drainmon.sources.row_diff import RowDiff, join_rows, split_rows


def row(number: int, version: int = 0) -> bytes:
    """Long, so that few of them are compared together."""
    return b"%d:%d" % (number, version) + 150 * b"."


ROWS = [row(number) for number in range(40)]


def compare(before: list[bytes], *pieces: list[bytes]) -> RowDiff:
    diff = RowDiff(join_rows(before))
    for rows in pieces:
        if not diff.skip(join_rows(rows)):
            diff.add(join_rows(rows))
    diff.end()
    return diff


def changes(diff: RowDiff) -> tuple[list[bytes], list[bytes]]:
    return sorted(row for rows in diff.new for row in rows), sorted(diff.gone)


def test_rows_at_their_place_are_compared_as_text() -> None:
    diff = RowDiff(join_rows(ROWS))
    assert diff.skip(join_rows(ROWS[:9]))
    assert diff.skip(join_rows(ROWS[9:]))
    diff.end()
    assert (diff.text, diff.new, diff.gone) == (join_rows(ROWS), [], [])


def test_a_row_that_begins_alike_is_another_one() -> None:
    assert changes(compare([b"11"], [b"1"])) == ([b"1"], [b"11"])
    assert changes(compare([b"1"], [b"11"])) == ([b"11"], [b"1"])


def test_after_a_change_rows_are_again_compared_as_text() -> None:
    diff = RowDiff(join_rows(ROWS))
    changed = [ROWS[0], row(1, 1), *ROWS[3:5], ROWS[6]]
    assert not diff.skip(join_rows(changed))
    diff.add(join_rows(changed))
    assert diff.skip(join_rows(ROWS[7:]))
    diff.end()
    assert changes(diff) == ([row(1, 1)], [ROWS[1], ROWS[2], ROWS[5]])
    assert split_rows(diff.text) == [*changed, *ROWS[7:]]


def test_a_row_that_comes_again_in_the_next_piece_is_one_row() -> None:
    for before in ([], ROWS[:6], [*ROWS[:2], *ROWS[4:6]]):
        diff = compare(before, ROWS[:3], ROWS[2:6])
        assert split_rows(diff.text) == ROWS[:6]
        assert changes(diff) == (sorted(set(ROWS[:6]) - set(before)), [])


@st.composite
def pieces_of(draw: st.DrawFn, rows: list[bytes]) -> list[list[bytes]]:
    """Some of the rows, some of them changed, in pieces; each may begin with the end of the one
    before."""
    changed = []
    for number, old in enumerate(rows):
        kind = draw(st.sampled_from("sssssscin"))
        if kind in "si":
            changed.append(old)
        if kind in "ci":
            changed.append(row(number, 1))
    if draw(st.integers(0, 4)) == 0:
        changed = draw(st.permutations(changed))
    pieces: list[list[bytes]] = [[]]
    for own in changed:
        if draw(st.integers(0, 9)) == 0:
            again = len(pieces[-1]) - draw(st.integers(0, 2))
            pieces.append(pieces[-1][max(0, again) :])
        pieces[-1].append(own)
    return pieces


@given(pieces_of(ROWS))
def test_what_has_come_and_gone_is_told(pieces: list[list[bytes]]) -> None:
    diff = compare(ROWS, *pieces)
    rows = {row for piece in pieces for row in piece}
    assert sorted(split_rows(diff.text)) == sorted(rows)
    assert changes(diff) == (sorted(rows - set(ROWS)), sorted(set(ROWS) - rows))


ANYWHERE = st.lists(st.lists(st.sampled_from(ROWS[:6]), max_size=5), max_size=5)


@given(st.lists(ANYWHERE, max_size=5))
def test_whatever_comes_twice_what_is_known_is_the_text(
    passes: list[list[list[bytes]]],
) -> None:
    text, known = b"", Counter[bytes]()
    for pieces in passes:
        diff = compare(split_rows(text), *pieces)
        text = diff.text
        known.update(row for rows in diff.new for row in rows)
        known.subtract(diff.gone)
        assert +known == Counter(split_rows(text))
        assert min(known.values(), default=0) >= 0
        assert set(known) >= {row for rows in pieces for row in rows}
