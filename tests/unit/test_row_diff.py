"""What has changed between two passes over rows."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from drainmon.sources.row_diff import RowDiff, Rows, join_rows, split_rows


def row(number: int, version: int = 0) -> bytes:
    """Long, so that few of them are compared together."""
    return b"%d:%d" % (number, version) + 150 * b"."


ROWS = [row(number) for number in range(40)]


def known(rows: list[bytes]) -> Rows:
    return Rows(join_rows(rows), set(map(hash, rows)))


def compare(before: Rows, *pieces: list[bytes]) -> RowDiff:
    diff = RowDiff(before)
    for rows in pieces:
        if not diff.skip(join_rows(rows)):
            diff.add(rows, join_rows(rows))
    diff.end()
    return diff


def changes(diff: RowDiff) -> tuple[list[bytes], list[bytes]]:
    return sorted(row for rows in diff.new for row in rows), sorted(diff.gone)


def test_rows_at_their_place_are_compared_as_text() -> None:
    diff = RowDiff(known(ROWS))
    assert diff.skip(join_rows(ROWS[:9]))
    assert diff.skip(join_rows(ROWS[9:]))
    diff.end()
    assert (diff.rows, diff.new, diff.gone) == (known(ROWS), [], [])


def test_a_row_that_begins_alike_is_another_one() -> None:
    assert changes(compare(known([b"11"]), [b"1"])) == ([b"1"], [b"11"])
    assert changes(compare(known([b"1"]), [b"11"])) == ([b"11"], [b"1"])


def test_after_a_change_rows_are_again_compared_as_text() -> None:
    diff = RowDiff(known(ROWS))
    changed = [ROWS[0], row(1, 1), *ROWS[3:5], ROWS[6]]
    assert not diff.skip(join_rows(changed))
    diff.add(changed, join_rows(changed))
    assert diff.skip(join_rows(ROWS[7:]))
    diff.end()
    assert changes(diff) == ([row(1, 1)], [ROWS[1], ROWS[2], ROWS[5]])
    assert split_rows(diff.rows.text) == [*changed, *ROWS[7:]]


def test_rows_that_come_again_are_one_row() -> None:
    for before in ([], ROWS[:20], [*ROWS[:2], *ROWS[16:20]]):
        for again in (1, 15):
            diff = compare(known(before), ROWS[:17], ROWS[17 - again : 20])
            assert diff.rows == known(ROWS[:20])
            assert changes(diff) == (sorted(set(ROWS[:20]) - set(before)), [])


@st.composite
def pieces_of(draw: st.DrawFn, rows: list[bytes]) -> list[list[bytes]]:
    """Most of the rows, some of them changed or elsewhere, in pieces; some come again."""
    changed = []
    for number, old in enumerate(rows):
        kind = draw(st.sampled_from("sssssscin"))
        if kind in "si":
            changed.append(old)
        if kind in "ci":
            changed.append(row(number, 1))
        if draw(st.integers(0, 19)) == 0:
            changed += changed[-draw(st.integers(1, 20)) :]
    if draw(st.integers(0, 4)) == 0:
        changed = draw(st.permutations(changed))
    cuts = sorted(draw(st.lists(st.integers(0, len(changed)), max_size=6)))
    return [changed[i:j] for i, j in pairwise([0, *cuts, len(changed)])]


@given(st.lists(pieces_of(ROWS), max_size=3))
def test_what_has_come_and_gone_is_told(passes: list[list[list[bytes]]]) -> None:
    before = known(ROWS)
    for pieces in passes:
        earlier = set(split_rows(before.text))
        diff = compare(before, *pieces)
        before = diff.rows
        rows = {row for piece in pieces for row in piece}
        assert sorted(split_rows(before.text)) == sorted(rows)
        assert before.hashes == set(map(hash, rows))
        assert changes(diff) == (sorted(rows - earlier), sorted(earlier - rows))
