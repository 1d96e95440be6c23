"""The drain's decisions, by a fake clock."""

from itertools import pairwise

import pytest

from tests.client.library import Library


def test_min_wait_is_kept_with_nothing_in_flight(library: Library) -> None:
    library.settle()
    assert library.step(0) == "look"
    assert library.reason(0) == "min-wait has 5.0 s to go"
    assert library.step(4_999) == "look"
    assert library.step(5_000) == "drained"


def test_each_arrival_restarts_the_quiet_period(library: Library) -> None:
    library.settle()
    library.step(0, arrivals=100)
    assert library.step(4_500, arrivals=101) == "look"
    assert library.step(5_000, arrivals=101) == "look"
    assert library.reason(5_000) == "waiting for 1.5 s without new connections"
    assert library.step(5_999, arrivals=101) == "look"
    assert library.step(6_000, arrivals=101) == "drained"


def test_arrivals_before_the_first_look_count_as_recent(library: Library) -> None:
    library.settle(min_wait=0, now=10_000)
    assert library.step(10_000, arrivals=7) == "look"
    assert library.step(11_499, arrivals=7) == "look"
    assert library.step(11_500, arrivals=7) == "drained"


def test_quiet_is_not_required_after_half_of_the_timeout(library: Library) -> None:
    library.settle(timeout=20_000)
    for now in range(0, 10_000, 1_000):
        assert library.step(now, arrivals=now) == "look"
    assert library.step(10_000, arrivals=10_000) == "drained"


def test_min_wait_is_required_after_half_of_the_timeout(library: Library) -> None:
    library.settle(timeout=20_000, min_wait=15_000)
    assert library.step(14_999) == "look"
    assert library.step(15_000) == "drained"


def test_a_drain_settles_after_a_roll_for_another_hook(library: Library) -> None:
    library.settle(now=1_000, rolls=1, rolled=500)
    assert library.step(1_000) == "look"
    assert library.phase == "settling"
    assert library.step(4_999) == "look"
    assert library.step(5_000) == "drained"


def test_a_skipped_roll_is_not_counted(library: Library) -> None:
    library.settle()
    assert library.step(5_000, in_flight=3) == "roll"
    library.roll_skipped()
    assert (library.phase, library.rolls) == ("waiting", 0)


@pytest.mark.parametrize("how", ["roll_skipped", "roll_failed"])
def test_a_failed_or_skipped_roll_is_not_repeated(library: Library, how: str) -> None:
    library.settle(timeout=100_000)
    assert library.step(5_000, in_flight=3, udp_workers=2) == "roll"
    getattr(library, how)()
    for now in range(5_100, 99_000, 100):
        assert library.step(now, in_flight=1, arrivals=now // 5_000) == "look"
    assert library.step(99_000, udp_workers=2, arrivals=19) == "drained"


def test_an_unfinished_roll_is_not_repeated_and_holds_no_drain(library: Library) -> None:
    library.settle(timeout=100_000)
    assert library.step(5_000, in_flight=3) == "roll"
    for now in range(5_100, 50_000, 100):
        assert library.step(now, in_flight=1, arrivals=now // 5_000) == "look"
        assert library.phase == "rolling"
    assert library.step(52_000, arrivals=9) == "drained"


def test_workers_that_do_not_react_fail_the_drain(library: Library) -> None:
    library.settle()
    assert library.step(5_000, in_flight=3) == "roll"
    library.stuck()
    assert library.step(15_000, in_flight=3) == "stuck"
    assert (library.phase, library.reason(15_000)) == ("stuck", "nginx's workers do not react")

    library.settle()
    assert library.step(5_000, udp_workers=1) == "roll"
    library.stuck()
    assert library.step(15_000, udp_workers=1) == "stuck"

    library.settle()
    assert library.step(5_000, in_flight=3) == "roll"
    library.stuck()
    assert library.step(15_000) == "drained"


def test_drain_rolls_and_waits_for_workers_with_udp(library: Library) -> None:
    library.settle()
    assert library.step(4_999, udp_workers=2) == "look"
    assert library.step(5_000, udp_workers=2) == "roll"
    library.rolled()
    for now in range(5_100, 24_000, 100):
        # Later rolls are for connections: the new workers do not hold the drain.
        assert library.step(now, arrivals=now // 5_000, udp_workers=1) == "look"
    assert library.reason(23_900) == "waiting for workers that may still serve UDP clients"
    assert library.step(24_000, arrivals=4) == "drained"


def test_no_roll_does_not_wait_for_workers_with_udp(library: Library) -> None:
    library.settle(roll=False)
    assert library.step(5_000, udp_workers=2) == "drained"


def test_an_nginx_without_listeners_is_not_rolled(library: Library) -> None:
    library.settle()
    for now in range(0, 10_000, 100):
        assert library.step(now, in_flight=1, udp_workers=1, listens=False) == "look"
    assert library.phase == "waiting"
    assert library.step(10_000, in_flight=1) == "roll"  # nginx listens again


def test_min_wait_is_not_required_after_nginx_has_ended(library: Library) -> None:
    library.settle()
    library.step(0, arrivals=1)
    library.step(1_000, arrivals=1, listens=False)
    assert library.step(2_499, arrivals=1, listens=False, lives=False) == "look"
    assert library.reason(2_400) == "waiting for 1.5 s without new connections"
    assert library.step(2_500, arrivals=1, listens=False, lives=False) == "drained"


def test_min_wait_is_required_while_nginx_lives(library: Library) -> None:
    library.settle()
    assert library.step(4_999, listens=False) == "look"
    assert library.step(5_000, listens=False) == "drained"


def test_arrivals_without_a_listener_restart_the_quiet_period(library: Library) -> None:
    library.settle()
    library.step(0, listens=False, lives=False)
    library.step(1_000, arrivals=1, listens=False, lives=False)
    assert library.step(2_499, arrivals=1, listens=False, lives=False) == "look"
    assert library.step(2_500, arrivals=1, listens=False, lives=False) == "drained"


def test_drain_rolls_once_and_waits(library: Library) -> None:
    library.settle()
    assert library.step(5_000, in_flight=3) == "roll"
    assert library.phase == "rolling"
    assert library.step(5_100, in_flight=3) == "look"
    library.rolled()
    assert library.phase == "waiting"
    for now in range(5_200, 12_000, 100):
        assert library.step(now, in_flight=2) == "look"
    assert library.reason(12_000) == "waiting for connections in flight to end"
    assert library.step(12_000) == "drained"


def test_drain_ends_during_a_roll_if_nothing_is_in_flight(library: Library) -> None:
    library.settle()
    library.step(5_000, in_flight=1)
    assert library.step(5_010) == "drained"


def test_drain_ends_with_exit_at_connections_in_flight(library: Library) -> None:
    library.settle(exit_at=2)
    assert library.step(5_000, in_flight=3) == "roll"
    library.rolled()
    assert library.step(5_100, in_flight=2) == "drained"


def test_no_roll_only_waits_until_the_deadline(library: Library) -> None:
    library.settle(roll=False)
    for now in range(0, 25_000, 100):
        assert library.step(now, in_flight=1, arrivals=now // 5_000) == "look"
    assert library.step(25_000, in_flight=1) == "deadline"
    assert library.phase == "deadline"


def test_a_connection_that_ends_at_the_timeout_is_drained(library: Library) -> None:
    library.settle()
    library.step(24_900, in_flight=1)
    assert library.step(25_000) == "drained"


def test_stragglers_are_rolled_after_a_quiet_period(library: Library) -> None:
    library.settle(timeout=100_000)
    library.step(0)
    assert library.step(5_000, in_flight=1) == "roll"
    library.rolled()
    for now in range(5_100, 7_100, 100):
        assert library.step(now, in_flight=1, arrivals=now) == "look"
    assert library.step(8_400, in_flight=1, arrivals=7_000) == "look"
    assert library.step(8_500, in_flight=1, arrivals=7_000) == "roll"


def test_no_second_roll_without_stragglers(library: Library) -> None:
    library.settle(timeout=100_000)
    assert library.step(5_000, in_flight=1) == "roll"
    library.rolled()
    assert all(library.step(now, in_flight=1) == "look" for now in range(5_100, 99_000, 100))


def test_pauses_between_rolls_double(library: Library) -> None:
    library.settle(timeout=1_000_000, quiet=200, min_wait=0)
    rolls: list[int] = []
    for now in range(0, 200_000, 100):
        # One straggler after each roll, and quiet afterwards.
        if library.step(now, in_flight=1, arrivals=len(rolls)) == "roll":
            rolls.append(now)
            library.rolled()
    gaps = [after - before for before, after in pairwise(rolls)]
    assert gaps == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000]


def test_client_does_not_roll_right_after_the_daemons_roll(library: Library) -> None:
    library.settle(now=8_000, rolls=1, rolled=5_000)
    assert library.phase == "waiting"
    assert library.step(8_000, in_flight=1) == "look"
    assert library.step(9_000) == "look"
    assert library.step(9_500) == "drained"


def test_client_rolls_once_when_due_after_the_daemons_roll(library: Library) -> None:
    # Arrivals since the daemon's roll are unknown: one roll follows when quiet has passed and a
    # roll is due.
    library.settle(now=6_000, rolls=1, rolled=5_000, timeout=100_000)
    assert library.step(7_400, in_flight=1) == "look"
    assert library.step(7_500, in_flight=1) == "roll"
    library.rolled()
    assert all(library.step(now, in_flight=1) == "look" for now in range(7_600, 99_000, 100))

    library.settle(now=6_000, rolls=4, rolled=5_000, timeout=100_000)
    assert library.step(16_900, in_flight=1) == "look"
    assert library.step(17_000, in_flight=1) == "roll"


def test_extreme_numbers_of_rolls_do_not_overflow(library: Library) -> None:
    library.settle(now=6_000, rolls=2**64 - 1, rolled=2**62)
    assert library.step(6_000, in_flight=1) == "look"
    assert library.step(25_000, in_flight=1) == "deadline"


@pytest.mark.parametrize(
    ("used", "pause"), [(0, 100), (5, 100), (20, 400), (390, 2000), (10**6, 2000)]
)
def test_looks_are_paced_by_their_cost_up_to_a_limit(
    library: Library, used: int, pause: int
) -> None:
    assert library.look_pause(used * 1_000_000) == pause
