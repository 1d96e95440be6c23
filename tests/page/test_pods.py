"""The table of pods: its rows, their order, and its text when empty."""

import time

import pytest

from drainmon.drain.report import DrainRecord
from tests.page.browser import PROGRAM, Browser
from tests.page.site import Site, opened

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs chromium-headless-shell")


def press(site: Site, selector: str) -> None:
    site.browser.evaluate(f"document.querySelector('{selector}').click()")


def test_a_column_sorts_up_down_and_not_at_all(site: Site) -> None:
    urgent = ["api/gateway-0", "shop/web-2", "shop/web-1"]
    assert site.rows() == urgent
    assert site.browser.text("#urgent-first:not([hidden])") == "draining and busy ones first"
    head = "#pods [data-sort=name]"
    for rows, order in (
        (["api/gateway-0", "shop/web-1", "shop/web-2"], "ascending"),
        (["shop/web-2", "shop/web-1", "api/gateway-0"], "descending"),
        (urgent, "none"),
    ):
        press(site, f"{head} button")
        assert site.rows() == rows
        assert site.browser.evaluate(f"document.querySelector('{head}').ariaSort") == order
        assert bool(site.browser.text("#urgent-first:not([hidden])")) == (order == "none")
    press(site, "#pods [data-sort=in_flight] button")
    assert site.rows() == urgent
    press(site, "#pods [data-sort=in_flight] button")
    assert site.rows() == urgent[::-1]


def test_pods_are_filtered_by_name_or_port(site: Site) -> None:
    write = "((f, v) => { f.value = v; f.dispatchEvent(new Event('input')); })"
    field = "document.querySelector('#filter')"
    site.browser.evaluate(f"{write}({field}, 'WEB-2')")
    assert site.rows() == ["shop/web-2"]
    assert site.browser.text("#shown") == "1 of 3"
    site.browser.evaluate(f"{write}({field}, 'nothing')")
    assert site.browser.text("#no-pods") == "No pod has this name or port."
    site.browser.evaluate(f"{write}({field}, '80')")
    assert len(site.rows()) == 3


def test_a_draining_pod_comes_first_with_its_phase(site: Site) -> None:
    record = DrainRecord("shop/web-1", 4_001, time.time(), phases=[("settling", 0.0)], timeout=25.0)
    site.drains.known = [record]
    site.browser.until(lambda: site.rows()[0] == "shop/web-1")
    badge = "#pods tbody tr:first-child .badge:not([hidden])"
    assert site.browser.text(badge).split() == ["draining:", "settling"]
    record.phases.append(("waiting", 5.0))
    site.browser.until(lambda: "waiting" in site.browser.text(badge))
    record.result = "drained"
    site.browser.until(lambda: not site.browser.texts(".badge:not([hidden])"))


def test_rows_stay_in_place_during_keyboard_navigation(site: Site) -> None:
    browser = site.browser
    browser.evaluate("document.querySelector('#filter').focus()")
    while "shop/web-2" not in browser.focused():
        browser.press("Tab")
    site.set_pod(1, "shop/web-1", in_flight=900)
    browser.until(lambda: site.cell(1, 3) == "900")
    assert site.rows() == ["api/gateway-0", "shop/web-2", "shop/web-1"]
    del site.node.counted[3]
    browser.until(lambda: site.rows() == ["shop/web-2", "shop/web-1"])
    assert browser.focused() == "button||shop/web-2"
    browser.press("Tab", shift=True)
    browser.until(lambda: site.rows() == ["shop/web-1", "shop/web-2"])


def test_rows_stay_in_place_under_the_pointer(site: Site) -> None:
    where = site.browser.evaluate(
        "(({left, top}) => ({x: left + 5, y: top + 5}))"
        "(document.querySelector('#pods tbody').getBoundingClientRect())"
    )
    site.browser.call("Input.dispatchMouseEvent", type="mouseMoved", **where)
    site.set_pod(1, "shop/web-1", in_flight=900)
    site.browser.until(lambda: site.cell(1, 3) == "900")
    assert site.rows() == ["api/gateway-0", "shop/web-2", "shop/web-1"]
    site.browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=0, y=0)
    site.browser.until(lambda: site.rows() == ["shop/web-1", "api/gateway-0", "shop/web-2"])


def test_a_pods_ways_in_are_shown(site: Site) -> None:
    press(site, '#pods [data-pod="1"] button')
    assert "Ways in\nfolder, @drainmon" in site.browser.text("#detail .facts")


def test_a_container_is_named_by_the_first_digits_of_its_id(browser: Browser) -> None:
    container = "0123456789ab" * 5 + "cdef"
    with opened(browser, container) as site:
        assert site.rows() == [container[:12]]
        press(site, "#pods tbody button")
        assert browser.text("#detail h2") == container[:12]
        assert f"Container\n{container}" in browser.text("#detail .facts")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("nginx",), "The daemon sees no process named nginx on this node."),
        (
            ("angie", "openresty"),
            "The daemon sees no process named angie or openresty on this node.",
        ),
    ],
)
def test_an_empty_table_names_the_watched_processes(
    browser: Browser, names: tuple[str, ...], said: str
) -> None:
    with opened(browser) as site:
        site.node.process_names = names
        browser.until(lambda: browser.text("#no-pods").startswith(said))
        browser.until(lambda: browser.text("#arrivals .value") == "0")
        assert browser.text("#urgent-first:not([hidden])") == ""


def test_five_hundred_pods_are_shown_in_parts(browser: Browser) -> None:
    names = [f"service-{n:03}-5d7c8f9b4-abcde" for n in range(500)]
    with opened(browser, *names) as site:
        assert len(site.rows()) == 25
        assert site.rows()[0] == names[-1]
        assert browser.text("#more-pods") == "Show all 500"
        press(site, "#more-pods")
        assert len(site.rows()) == 500
        # Charts are drawn only for visible rows.
        lines = "document.querySelectorAll('#pods canvas').length"
        browser.until(lambda: browser.evaluate(lines) > 0)
        assert browser.evaluate(lines) < 60
        for turn in range(1, 3):
            for number, name in enumerate(names, start=1):
                site.set_pod(number, name, number + turn, turn * 10)
            shown = str(500 + turn)
            browser.until(lambda shown=shown: site.cell(500, 3) == shown)  # type: ignore[misc]
        browser.evaluate("scrollTo(0, document.body.scrollHeight)")
        drawn = "[...document.querySelectorAll('#pods tbody tr')].at(-1).querySelector('canvas')"
        browser.until(lambda: browser.evaluate(f"!!{drawn}"))
        browser.until(lambda: site.cell(1, 3) == "3")
        assert browser.evaluate(lines) < 60
        press(site, "#more-pods")
        assert len(site.rows()) == 25
