"""The drain's decisions at random moments."""

from hypothesis import given
from hypothesis import strategies as st

from tests.client.library import Library

LOOK = st.tuples(
    st.integers(0, 3_000),
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "", "rolled", "roll_skipped", "roll_failed"]),
)
"""Milliseconds since the last look, connections in flight, new arrivals, workers that serve UDP,
whether nginx listens and lives, and the report of an unfinished roll."""


@given(
    looks=st.lists(LOOK), timeout=st.integers(0, 60_000), min_wait=st.integers(0, 20_000),
    quiet=st.integers(0, 20_000), exit_at=st.integers(0, 2), roll=st.booleans(),
)  # fmt: skip
def test_a_drain_never_reports_drained_too_early(
    library: Library, looks: list[tuple[int, int, int, int, bool, bool, str]], timeout: int,
    min_wait: int, quiet: int, exit_at: int, roll: bool,
) -> None:  # fmt: skip
    library.settle(timeout=timeout, min_wait=min_wait, quiet=quiet, exit_at=exit_at, roll=roll)
    now = arrivals = last_arrival = 0
    for number, (pause, in_flight, arrived, udp, listens, lives, outcome) in enumerate(looks):
        now += pause
        arrivals += arrived
        if arrived and number:
            last_arrival = now
        action = library.step(now, in_flight, arrivals, udp, listens=listens, lives=lives)
        if action == "drained":
            assert in_flight <= exit_at
            assert not (udp and roll)
            assert now >= min_wait or not (listens or lives)
            assert now - last_arrival >= quiet or now >= timeout / 2
            return
        if action == "deadline":
            assert now >= timeout
            return
        assert now < timeout
        if action == "roll":
            assert roll
            assert listens
            assert in_flight > exit_at or udp
            assert now >= min_wait
        if outcome and library.phase == "rolling":
            getattr(library, outcome)()
            roll = roll and outcome == "rolled"
