"""`drainmon top`: keys, order, and what fits on the screen."""

import io
from typing import Any

import pytest
from rich.console import Console

from drainmon.cli.top_view import ENTER, ESCAPE, SORTS, View, opens_per_second, render
from tests.unit.test_tables import DRAIN, HEALTH, IDLE, POD


def pressed(*keys: str) -> View:
    view = View()
    for key in keys:
        view = view.press(key)
    return view


def names(view: View, rates: dict[str, float] | None = None) -> list[str]:
    pods = [POD, IDLE, POD | {"pod": "busy", "in_flight": 9, "accepted": 5}]
    return [pod["pod"] for pod in view.choose(pods, rates or {})]


def test_the_busiest_come_first() -> None:
    assert names(View()) == ["busy", "web", "a-longer-one"]
    assert names(pressed("r")) == ["a-longer-one", "web", "busy"]
    assert names(pressed("s"), {"web": 2.0}) == ["web", "a-longer-one", "busy"]
    assert names(pressed("s", "s")) == ["web", "busy", "a-longer-one"]
    assert names(pressed("s", "s", "s")) == ["a-longer-one", "busy", "web"]
    assert pressed(*"s" * len(SORTS)) == View()


def test_a_filter_is_typed() -> None:
    view = pressed("/", "W", "q", "\x7f", "e")
    assert (view.filter, view.typing, view.done) == ("We", True, False)
    assert "filter: We" in view.footer().plain
    assert names(view.press(ENTER)) == ["web"]
    assert "only 'We'" in view.press(ENTER).footer().plain
    assert view.press(ESCAPE) == View()
    assert view.press(ENTER).press(ESCAPE).filter == ""
    assert pressed("/", "\x01").filter == ""


def test_q_ends_it_and_other_keys_do_nothing() -> None:
    assert pressed("q").done
    assert pressed("x", "\t", "7") == View()


def test_rates_are_of_pods_that_were_there_before() -> None:
    later = [POD | {"accepted": 20}, IDLE | {"number": 3, "accepted": 7}]
    assert opens_per_second([POD, IDLE], later, 2.0) == {"web": 4.0}
    assert opens_per_second([POD], [POD | {"accepted": 1}], 1.0) == {"web": 0.0}
    assert opens_per_second([POD], [POD], 0.0) == {}


@pytest.mark.parametrize("height", [1, 5, 8, 24, 60])
@pytest.mark.parametrize("drains", [[], [DRAIN], [DRAIN] * 40])
def test_it_fits_the_screen(height: int, drains: list[dict[str, Any]]) -> None:
    pods = [POD | {"pod": f"web-{number:03}", "number": number} for number in range(500)]
    node = {"health": HEALTH, "pods": pods, "drains": drains}
    out = io.StringIO()
    Console(file=out, width=100, height=height).print(render(node, {}, View(), height))
    lines = out.getvalue().splitlines()
    assert "web-000" in out.getvalue()
    assert len(lines) <= max(height, 13)
    assert "more" in out.getvalue()


def test_running_drains_come_before_those_that_have_ended() -> None:
    ended = DRAIN | {"pod": "gone", "result": "drained"}
    out = io.StringIO()
    node = {"health": HEALTH, "pods": [], "drains": [ended, DRAIN]}
    Console(file=out, width=100).print(render(node, {}, View(), 30, trouble="cannot ask"))
    text = out.getvalue()
    assert "gone" not in text and "waiting" in text and text.startswith("cannot ask")
