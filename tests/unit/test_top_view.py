"""`drainmon top`: keys, order, and what fits on the screen."""

import io
from typing import Any

import pytest
from rich.console import Console

from drainmon.cli import keys
from drainmon.cli.keys import ESCAPE
from drainmon.cli.top_view import ENTER, SORTS, View, arrivals_per_second, render
from tests.unit.test_tables import DRAIN, HEALTH, IDLE, POD


def pressed(*keys: str) -> View:
    view = View()
    for key in keys:
        view = view.press(key)
    return view


def names(view: View, rates: dict[str, float] | None = None) -> list[str]:
    pods = [POD, IDLE, POD | {"pod": "busy", "in_flight": 9, "accepted": 5}]
    return [pod["pod"] for pod in view.choose(pods, rates or {})]


def test_pods_are_sorted_by_the_chosen_column() -> None:
    assert names(View()) == ["busy", "web", "a-longer-one"]
    assert names(pressed("r")) == ["a-longer-one", "web", "busy"]
    assert names(pressed("s"), {"web": 2.0}) == ["web", "a-longer-one", "busy"]
    assert names(pressed("s", "s")) == ["web", "busy", "a-longer-one"]
    assert names(pressed("s", "s", "s")) == ["a-longer-one", "busy", "web"]
    assert pressed(*"s" * len(SORTS)) == View()


def test_a_filter_can_be_typed() -> None:
    view = pressed("/", "W", "q", "\x7f", "e")
    assert (view.filter, view.typing, view.done) == ("We", True, False)
    assert "filter: We" in view.footer().plain
    assert names(view.press(ENTER)) == ["web"]
    assert "only 'We'" in view.press(ENTER).footer().plain
    assert view.press(ESCAPE) == View()
    assert view.press(ENTER).press(ESCAPE).filter == ""
    assert pressed("/", "\x01").filter == ""


def test_q_ends_top_and_unknown_keys_do_nothing() -> None:
    assert pressed("q").done
    assert pressed("x", "\t", "7") == View()


def test_rates_require_an_earlier_reading() -> None:
    later = [POD | {"accepted": 20}, IDLE | {"number": 3, "accepted": 7}]
    assert arrivals_per_second([POD, IDLE], later, 2.0) == {"web": 4.0}
    assert arrivals_per_second([POD], [POD | {"accepted": 1}], 1.0) == {"web": 0.0}
    assert arrivals_per_second([POD], [POD], 0.0) == {}


@pytest.mark.parametrize("height", [1, 5, 8, 24, 60])
@pytest.mark.parametrize("drains", [[], [DRAIN], [DRAIN] * 40])
def test_top_fits_the_screen(height: int, drains: list[dict[str, Any]]) -> None:
    pods = [POD | {"pod": f"web-{number:03}", "number": number} for number in range(500)]
    node = {"health": HEALTH, "pods": pods, "drains": drains}
    out = io.StringIO()
    Console(file=out, width=100, height=height).print(render(node, {}, View(), height))
    lines = out.getvalue().splitlines()
    assert "web-000" in out.getvalue()
    assert len(lines) <= max(height, 14)
    assert "of 500 pods" in out.getvalue()


def test_top_scrolls() -> None:
    view, sizes = View(), (10, 25)  # visible rows, pods
    for key, first in [
        ("k", 0), ("j", 1), (keys.DOWN, 2), (keys.UP, 1), (keys.PAGE_DOWN, 11),
        (keys.PAGE_DOWN, 15), ("j", 15), (keys.PAGE_UP, 5), ("G", 15),
        ("g", 0), (keys.END, 15), (keys.HOME, 0),
    ]:  # fmt: skip
        view = view.press(key, *sizes)
        assert view.first == first, key
    fewer = View(first=15).press("k", 10, 12)
    assert fewer.first == 1
    pods = [POD | {"pod": f"web-{number:03}", "number": number} for number in range(40)]
    out = io.StringIO()
    node = {"health": HEALTH, "pods": pods, "drains": []}
    Console(file=out, width=80).print(render(node, {}, View(first=37), 16))
    assert "web-030" in out.getvalue() and "31 to 40 of 40 pods" in out.getvalue()


def test_key_sequences_are_parsed() -> None:
    assert keys.parse("j\x1b[A\x1bOB\x1b[6~q") == ["j", keys.UP, keys.DOWN, keys.PAGE_DOWN, "q"]
    assert keys.parse("\x1b[15~\x1b[1;5C") == []
    assert keys.parse("\x1b") == [ESCAPE]
    assert pressed("/", *keys.parse("a\x1b[A")).filter == "a"


def test_an_empty_screen_gives_the_reason() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(
        render(
            {"health": HEALTH, "pods": [], "drains": [], "empty": "no pods: why"}, {}, View(), 24
        )
    )
    Console(file=out, width=80).print(
        render({"health": HEALTH, "pods": [POD], "drains": []}, {}, View(filter="x"), 24)
    )
    assert "no pods: why" in out.getvalue() and "no pod is called 'x'" in out.getvalue()


def test_running_drains_come_first() -> None:
    ended = DRAIN | {"pod": "gone", "result": "drained"}
    out = io.StringIO()
    node = {"health": HEALTH, "pods": [], "drains": [ended, DRAIN]}
    Console(file=out, width=100).print(render(node, {}, View(), 30, trouble="cannot ask"))
    text = out.getvalue()
    assert "gone" not in text and "waiting" in text and text.startswith("cannot ask")
