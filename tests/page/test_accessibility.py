"""The page by keyboard, by screen reader, at any width, and in both colour schemes."""

import itertools
import time
from functools import partial

import pytest

from drainmon.drain.report import DrainRecord
from drainmon.model.snapshot import Snapshot
from tests.page.browser import PROGRAM, Browser
from tests.page.site import Site, opened
from tests.unit.sockets import established, unused

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs chromium-headless-shell")


def test_the_page_can_be_used_by_keyboard(site: Site) -> None:
    browser = site.browser
    site.node.snapshots[3] = Snapshot(100.0, 100.0, (established(98.0), unused()))
    passed = []
    for _ in range(20):
        browser.press("Tab")
        passed.append(browser.focused())
        if passed[-1] == "button||api/gateway-0":
            break
    assert passed[0] == "a||Skip to the pods"
    assert "input|filter|" in passed
    assert "button||Pod" in passed
    browser.press("Enter")
    assert browser.text("#detail h2") == "api/gateway-0"
    assert browser.focused() == "button||Close"
    browser.until(lambda: len(browser.texts(".connections tbody tr")) == 2)
    assert browser.texts(".connections tbody tr:first-child > *")[:4] == [
        "192.0.2.1:40000", "80", "ESTABLISHED", "2.0 s",
    ]  # fmt: skip
    assert "unused" in browser.texts(".connections tbody tr")[1]
    browser.press("Escape")
    browser.until(lambda: not browser.evaluate("document.querySelector('#detail').open"))
    assert browser.focused() == "button||api/gateway-0"


def test_the_page_can_be_read_by_a_screen_reader(site: Site) -> None:
    tree = site.browser.call("Accessibility.getFullAXTree")["nodes"]
    roles: dict[str, list[str]] = {}
    for node in tree:
        role = node.get("role", {}).get("value")
        roles.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    assert len(roles["main"]) == len(roles["banner"]) == 1
    assert "Pods" in roles["table"]
    assert {"The node now", "Draining", "Pods", "Last drains"} <= set(roles["region"])
    assert "Filter pods by name or port" in roles["searchbox"]
    assert {"Pod", "In flight", "States"} <= {name.strip("↑↓ ") for name in roles["columnheader"]}
    assert "shop/web-1" in roles["rowheader"]
    assert all(name for name in roles["button"])
    assert all(name for name in roles["image"])
    # Beginnings and ends of drains are announced, but not the numbers, which change constantly.
    live = "[...document.querySelectorAll('output, [role=status], [role=alert], [aria-live]')]"
    assert site.browser.evaluate(f"{live}.map((e) => e.id)") == [
        "status", "notice", "shown", "news",
    ]  # fmt: skip
    assert site.browser.text("#news") == ""
    record = DrainRecord("shop/web-1", 5, time.time(), phases=[("settling", 0.0)], timeout=25.0)
    site.drains.known = [record]
    site.browser.until(lambda: site.browser.text("#news") == "Drain of shop/web-1 began.")
    record.result = "drained"
    site.browser.until(lambda: "shop/web-1 ended: drained" in site.browser.text("#news"))


def test_the_page_fits_every_width_in_both_colour_schemes(browser: Browser) -> None:
    long = "namespace-with-a-long-name/deployment-with-a-long-name-7d5fb757db-4c8kz"
    with opened(browser, long, "web") as site:
        record = DrainRecord(long, 5, time.time(), phases=[("settling", 0.0)], timeout=25.0)
        ended = DrainRecord(long, 6, time.time(), phases=[("drained", 0.0)], result="drained")
        site.drains.known = [record, ended]
        browser.until(lambda: browser.texts("#drains tbody th"))
        for width, dark in itertools.product((1440, 820, 390), (False, True)):
            browser.look(width, 900, dark)
            fits = f"document.documentElement.scrollWidth <= {width}"
            browser.until(partial(browser.evaluate, fits))  # charts follow
            cut = browser.evaluate(
                """[...document.querySelectorAll('thead th, .result, h2, h3')].filter((e) =>
                e.offsetParent && e.scrollWidth > e.clientWidth + 1).map((e) => e.innerText)"""
            )
            assert cut == []
            assert contrasts(browser) == []


def test_stale_values_have_enough_contrast(browser: Browser) -> None:
    with opened(browser, "shop/web") as site:
        running = DrainRecord("shop/web", 4_001, time.time(), phases=[("settling", 0.0)])
        ended = DrainRecord("shop/web", 6, time.time(), phases=[("drained", 0.0)], result="drained")
        site.drains.known = [running, ended]
        browser.until(lambda: browser.texts("#drains tbody th"))
        browser.evaluate("document.body.classList.add('stale')")
        for dark in (False, True):
            browser.look(390, 900, dark)
            assert contrasts(browser) == []


LABELS = """
window.labels = [];
const { fillText } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const at = this.getTransform().transformPoint({x, y}).x;
    const width = this.measureText(text).width * this.getTransform().a;
    const left = at - width * {left: 0, start: 0, center: 0.5, right: 1, end: 1}[this.textAlign];
    labels.push({ text, cut: left < 0 || left + width > this.canvas.width });
    return fillText.call(this, text, x, y);
};
"""


def test_no_label_of_a_chart_is_cut_off(browser: Browser) -> None:
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source=LABELS)
    with opened(browser) as site:
        for in_flight, width in itertools.product((7, 123_456), (1440, 820, 390)):
            browser.look(width, 900)
            site.set_pod(1, "shop/web", in_flight)
            browser.until(lambda n=in_flight: site.cell(1, 3) == f"{n:,}")  # type: ignore[misc]
            # The times move to the left as seconds pass.
            for _ in range(3):
                browser.evaluate("labels.length = 0")
                browser.until(
                    lambda: browser.evaluate("labels.some(({text}) => text.includes(':'))")
                )
                cut = "labels.filter(({cut}) => cut).map(({text}) => text)"
                assert browser.evaluate(cut) == []
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


def test_a_large_number_does_not_overlap_its_chart(browser: Browser) -> None:
    with opened(browser) as site:
        browser.look(390, 900)
        site.set_pod(1, "shop/web", 1_234_567)
        browser.until(lambda: browser.text("#in-flight .value") == "1,234,567")
        figure = "document.querySelector('#in-flight .value')"
        assert browser.evaluate(f"{figure}.scrollWidth <= {figure}.clientWidth")


def contrasts(browser: Browser) -> list[str]:
    """Texts whose contrast with their background is below 4.5 (WCAG 2 AA)."""
    faint: list[str] = browser.evaluate(
        """(() => {
        const parse = (c) => c.match(/[0-9.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) =>
            v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
        const behind = (e) => {
            for (; e; e = e.parentElement) {
                const c = parse(getComputedStyle(e).backgroundColor);
                if (c.length === 3 || c[3] === 1) return c;
            }
            return [255, 255, 255];
        };
        return [...document.querySelectorAll('body *')].filter((e) => e.offsetParent &&
            [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).filter((e) => {
            const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
        }).map((e) => e.className + ': ' + e.innerText);
        })()"""
    )
    return faint
