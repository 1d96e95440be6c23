"""The order of pods and the format of numbers: the page's pure modules, in the browser."""

import json
from typing import Any

import pytest

from tests.page.browser import PROGRAM, Browser
from tests.page.site import Site

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs chromium-headless-shell")

MADE_UP = """
const { Order } = await import('/page/order.js');
const order = new Order();
const pods = new Map();
const sort = (rows, held = false) => order.sort(Object.entries(rows).map(([pod, [n, drain]]) => {
    const known = pods.get(pod) ?? { pod, history: {} };
    pods.set(pod, known);
    known.history.columns = [[1], [n], [null]];
    return Object.assign(known, { in_flight: n, rate: null, arrivals: 0, drain });
}), held).map(({ pod }) => pod).join(' ');
"""


def sorted_pods(browser: Browser, *turns: str) -> list[str]:
    """The order after each turn: a call, e.g. of `sort` with [in flight, drain] by name."""
    pushed = "".join(f"said.push({turn});" for turn in turns)
    said = browser.evaluate(
        f"(async () => {{ const said = []; {MADE_UP} {pushed} return said; }})()"
    )
    return [one for one in said if one is not None]


def test_draining_and_busy_pods_come_first(site: Site) -> None:
    assert sorted_pods(
        site.browser, "sort({a10: [0], a9: [0], busy: [7], busiest: [90], drained: [1, {}]})"
    ) == ["drained busiest busy a9 a10"]


def test_pods_change_places_only_for_a_clearly_busier_pod(site: Site) -> None:
    assert sorted_pods(
        site.browser,
        "sort({a: [100], b: [90], c: [0], d: [0]})",
        "sort({a: [100], b: [140], c: [0], d: [2]})",
        "sort({a: [100], b: [160], c: [0], d: [2]})",
        "sort({a: [110], b: [100], c: [0], d: [3]})",
        "sort({a: [110], b: [100], c: [0, {}], d: [0]})",
        "sort({a: [110], b: [100], c: [0], d: [0], bb: [105]})",
    ) == ["a b c d", "a b c d", "b a c d", "b a d c", "c b a d", "bb b a c d"]


def test_pods_keep_their_places_while_the_order_is_held(site: Site) -> None:
    assert sorted_pods(
        site.browser,
        "sort({a: [3], b: [2], c: [1]})",
        "sort({b: [90], c: [1, {}], new: [50], a: [0]}, true)",
        "order.press('in_flight')",
        "sort({b: [90], c: [91], a: [0]}, true)",
        "sort({b: [90], c: [89], a: [0]}, true)",
        "sort({b: [90], c: [89], a: [0]})",
    ) == ["a b c", "a b c new", "c b a", "c b a", "b c a"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("duration(-0.04)", "0.0 s"),
        ("duration(59.94)", "59.9 s"),
        ("duration(59.97)", "1 min"),
        ("duration(125.3)", "2 min 5 s"),
        ("duration(3599.99)", "1 h 0 min"),
        ("limit(8)", "8 s"),
        ("brief(500)", "500"),
        ("brief(1500)", "1.5K"),
        ("brief(2e6)", "2M"),
    ],
)
def test_numbers_are_formatted_for_people(site: Site, call: str, text: str) -> None:
    said: Any = site.browser.evaluate(f"import('/page/format.js').then((f) => f.{call})")
    assert said == text, json.dumps(said)
