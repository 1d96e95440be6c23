"""The drain's decisions, by a clock that the test turns."""

from itertools import pairwise

import pytest

from tests.client.library import Library


def test_nothing_in_flight_still_waits_for_min_wait(library: Library) -> None:
    library.settle()
    assert library.step(0) == "look"
    assert library.reason(0) == "min-wait has 5.0 s to go"
    assert library.step(4_999) == "look"
    assert library.step(5_000) == "drained"


def test_quiet_begins_anew_with_each_arrival(library: Library) -> None:
    library.settle()
    library.step(0, arrivals=100)
    assert library.step(4_500, arrivals=101) == "look"
    assert library.step(5_000, arrivals=101) == "look"
    assert library.reason(5_000) == "quiet has 1.0 s to go"
    assert library.step(5_999, arrivals=101) == "look"
    assert library.step(6_000, arrivals=101) == "drained"


def test_what_arrived_before_the_first_look_is_not_known(library: Library) -> None:
    library.settle(min_wait=0, now=10_000)
    assert library.step(10_000, arrivals=7) == "look"
    assert library.step(11_499, arrivals=7) == "look"
    assert library.step(11_500, arrivals=7) == "drained"


def test_from_half_of_the_timeout_quiet_is_not_asked_for(library: Library) -> None:
    library.settle(timeout=20_000)
    for now in range(0, 10_000, 1_000):
        assert library.step(now, arrivals=now) == "look"
    assert library.step(10_000, arrivals=10_000) == "drained"


def test_min_wait_is_asked_for_whatever_the_timeout(library: Library) -> None:
    library.settle(timeout=20_000, min_wait=15_000)
    assert library.step(14_999) == "look"
    assert library.step(15_000) == "drained"


def test_what_was_rolled_for_others_still_has_to_settle(library: Library) -> None:
    library.settle(now=1_000, rolls=1, rolled=500)
    assert library.step(1_000) == "look"
    assert library.phase == "settling"
    assert library.step(4_999) == "look"
    assert library.step(5_000) == "drained"


def test_a_roll_that_cannot_be_is_none(library: Library) -> None:
    library.settle()
    assert library.step(5_000, in_flight=3) == "roll"
    library.roll_skipped()
    assert (library.phase, library.rolls) == ("waiting", 0)


@pytest.mark.parametrize("how", ["roll_skipped", "roll_failed"])
def test_there_is_no_second_try_of_a_roll(library: Library, how: str) -> None:
    library.settle(timeout=100_000)
    assert library.step(5_000, in_flight=3, udp_workers=2) == "roll"
    getattr(library, how)()
    for now in range(5_100, 99_000, 100):
        assert library.step(now, in_flight=1, arrivals=now // 5_000) == "look"
    assert library.step(99_000, udp_workers=2, arrivals=19) == "drained"


def test_a_roll_that_goes_on_is_not_repeated_and_holds_no_end(library: Library) -> None:
    library.settle(timeout=100_000)
    assert library.step(5_000, in_flight=3) == "roll"
    for now in range(5_100, 50_000, 100):
        assert library.step(now, in_flight=1, arrivals=now // 5_000) == "look"
        assert library.phase == "rolling"
    assert library.step(52_000, arrivals=9) == "drained"


def test_workers_that_do_not_react_end_it(library: Library) -> None:
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


def test_workers_with_udp_are_rolled_and_waited_for(library: Library) -> None:
    library.settle()
    assert library.step(4_999, udp_workers=2) == "look"
    assert library.step(5_000, udp_workers=2) == "roll"
    library.rolled()
    for now in range(5_100, 24_000, 100):
        # Later rolls are for connections: new workers are none of those waited for.
        assert library.step(now, arrivals=now // 5_000, udp_workers=1) == "look"
    assert library.reason(23_900) == "waiting for the workers that served UDP to end"
    assert library.step(24_000, arrivals=4) == "drained"


def test_without_a_roll_udp_is_not_waited_for(library: Library) -> None:
    library.settle(roll=False)
    assert library.step(5_000, udp_workers=2) == "drained"


def test_where_nothing_listens_nothing_is_rolled(library: Library) -> None:
    library.settle()
    for now in range(0, 10_000, 100):
        assert library.step(now, in_flight=1, udp_workers=1, listens=False) == "look"
    assert library.phase == "waiting"
    assert library.step(10_000, in_flight=1) == "roll"  # it listens again


def test_where_nginx_has_ended_only_quiet_is_waited_for(library: Library) -> None:
    library.settle()
    library.step(0, arrivals=1)
    library.step(1_000, arrivals=1, listens=False)
    assert library.step(2_499, arrivals=1, listens=False, lives=False) == "look"
    assert library.reason(2_400) == "quiet has 0.1 s to go"
    assert library.step(2_500, arrivals=1, listens=False, lives=False) == "drained"


def test_an_nginx_that_lives_is_given_its_min_wait(library: Library) -> None:
    library.settle()
    assert library.step(4_999, listens=False) == "look"
    assert library.step(5_000, listens=False) == "drained"


def test_what_has_come_since_came_to_a_listener(library: Library) -> None:
    library.settle()
    library.step(0, listens=False, lives=False)
    library.step(1_000, arrivals=1, listens=False, lives=False)
    assert library.step(2_499, arrivals=1, listens=False, lives=False) == "look"
    assert library.step(2_500, arrivals=1, listens=False, lives=False) == "drained"


def test_it_rolls_once_and_waits(library: Library) -> None:
    library.settle()
    assert library.step(5_000, in_flight=3) == "roll"
    assert library.phase == "rolling"
    assert library.step(5_100, in_flight=3) == "look"
    library.rolled()
    assert library.phase == "waiting"
    for now in range(5_200, 12_000, 100):
        assert library.step(now, in_flight=2) == "look"
    assert library.reason(12_000) == "waiting for them to end"
    assert library.step(12_000) == "drained"


def test_it_need_not_roll_what_ends_by_itself(library: Library) -> None:
    library.settle()
    library.step(5_000, in_flight=1)
    assert library.step(5_010) == "drained"


def test_exit_at(library: Library) -> None:
    library.settle(exit_at=2)
    assert library.step(5_000, in_flight=3) == "roll"
    library.rolled()
    assert library.step(5_100, in_flight=2) == "drained"


def test_without_roll_it_only_waits(library: Library) -> None:
    library.settle(roll=False)
    for now in range(0, 25_000, 100):
        assert library.step(now, in_flight=1, arrivals=now // 5_000) == "look"
    assert library.step(25_000, in_flight=1) == "deadline"
    assert library.phase == "deadline"


def test_what_ends_at_the_last_moment_has_drained(library: Library) -> None:
    library.settle()
    library.step(24_900, in_flight=1)
    assert library.step(25_000) == "drained"


def test_stragglers_are_rolled_when_they_have_stopped_coming(library: Library) -> None:
    library.settle(timeout=100_000)
    library.step(0)
    assert library.step(5_000, in_flight=1) == "roll"
    library.rolled()
    for now in range(5_100, 7_100, 100):
        assert library.step(now, in_flight=1, arrivals=now) == "look"
    assert library.step(8_400, in_flight=1, arrivals=7_000) == "look"
    assert library.step(8_500, in_flight=1, arrivals=7_000) == "roll"


def test_who_stays_without_stragglers_is_not_rolled_again(library: Library) -> None:
    library.settle(timeout=100_000)
    assert library.step(5_000, in_flight=1) == "roll"
    library.rolled()
    assert all(library.step(now, in_flight=1) == "look" for now in range(5_100, 99_000, 100))


def test_rolls_come_at_longer_and_longer_intervals(library: Library) -> None:
    library.settle(timeout=1_000_000, quiet=200, min_wait=0)
    rolls: list[int] = []
    for now in range(0, 200_000, 100):
        # One straggler behind each roll, quiet ever after.
        if library.step(now, in_flight=1, arrivals=len(rolls)) == "roll":
            rolls.append(now)
            library.rolled()
    gaps = [after - before for before, after in pairwise(rolls)]
    assert gaps == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000]


def test_what_the_daemon_rolled_is_only_waited_for(library: Library) -> None:
    library.settle(now=8_000, rolls=1, rolled=5_000)
    assert library.phase == "waiting"
    assert library.step(8_000, in_flight=1) == "look"
    assert library.step(9_000) == "look"
    assert library.step(9_500) == "drained"


def test_what_has_come_since_the_daemon_rolled_is_rolled_in_time(library: Library) -> None:
    # Nobody has seen whether something came: so once, when quiet has passed and a roll is due.
    library.settle(now=6_000, rolls=1, rolled=5_000, timeout=100_000)
    assert library.step(7_400, in_flight=1) == "look"
    assert library.step(7_500, in_flight=1) == "roll"
    library.rolled()
    assert all(library.step(now, in_flight=1) == "look" for now in range(7_600, 99_000, 100))

    library.settle(now=6_000, rolls=4, rolled=5_000, timeout=100_000)
    assert library.step(16_900, in_flight=1) == "look"
    assert library.step(17_000, in_flight=1) == "roll"


def test_any_number_of_rolls_may_be_told(library: Library) -> None:
    library.settle(now=6_000, rolls=2**64 - 1, rolled=2**62)
    assert library.step(6_000, in_flight=1) == "look"
    assert library.step(25_000, in_flight=1) == "deadline"


@pytest.mark.parametrize(
    ("used", "pause"), [(0, 100), (5, 100), (20, 400), (390, 2000), (10**6, 2000)]
)
def test_looks_take_a_share_of_a_core_but_hold_no_drain(
    library: Library, used: int, pause: int
) -> None:
    assert library.look_pause(used * 1_000_000) == pause
