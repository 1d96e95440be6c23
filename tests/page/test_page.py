"""The web page in a real browser, with a fake node."""

import time
from urllib.parse import urlsplit

import pytest

from drainmon.drain.report import DrainRecord
from tests.page.browser import PROGRAM, Browser
from tests.page.made_up import served
from tests.page.site import Site, opened

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs chromium-headless-shell")

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&amp;\u202e{{7*7}}"


def test_the_page_loads_nothing_from_other_hosts(site: Site) -> None:
    paths = {urlsplit(url).path for url in site.browser.requests}
    assert {"/", "/page/main.js", "/page/uplot/uPlot.esm.js", "/v1/events"} <= paths
    assert site.browser.text("#pod-count") == "3"


def test_values_follow_the_node(site: Site) -> None:
    assert site.cell(2, 3) == "2"
    assert site.cell(2, 5) == "ESTABLISHED 2, TIME_WAIT 2"
    assert site.browser.text("#in-flight .value") == "6"
    site.set_pod(2, "shop/web-2", in_flight=1234, accepted=5000)
    site.browser.until(lambda: site.cell(2, 3) == "1,234")
    assert site.cell(2, 7) == "5,000"
    assert site.browser.text("#in-flight .value") == "1,238"
    # 5,000 in one turn, or in one that came a little late.
    assert 2500 < float(site.cell(2, 6).replace(",", "")) <= 5500
    site.browser.until(lambda: site.cell(2, 6) == "0")
    del site.node.counted[1]
    site.set_pod(9, "new/pod", 0)
    site.browser.until(lambda: site.rows() == ["shop/web-2", "api/gateway-0", "new/pod"])


def test_charts_are_drawn(site: Site) -> None:
    drawn = """[...document.querySelectorAll('canvas')].filter((canvas) => {
        const {width, height} = canvas;
        const blank = Object.assign(document.createElement('canvas'), {width, height});
        return canvas.toDataURL() !== blank.toDataURL();
    }).length"""
    # Three pods, and the node's two charts.
    site.browser.until(lambda: site.browser.evaluate(drawn) == 5)


def test_hostile_names_are_shown_as_text(browser: Browser) -> None:
    with opened(browser, HOSTILE) as site:
        record = DrainRecord(HOSTILE, 5, time.time() - 9, phases=[(HOSTILE, 0.0)], result=HOSTILE)
        record.reason = HOSTILE
        running = DrainRecord(HOSTILE, 6, time.time(), phases=[("settling", 0.0)], timeout=25.0)
        running.reason = HOSTILE
        site.drains.known = [running, record]
        site.node.refused_sources = {HOSTILE: HOSTILE}
        browser.until(lambda: HOSTILE in browser.text("#notice"))
        assert site.rows() == [HOSTILE]
        assert browser.texts("#drains tbody th") == [HOSTILE]
        assert browser.texts("#draining h3, #draining .reason") == [HOSTILE, HOSTILE]
        browser.evaluate("document.querySelector('#drains tbody button').click()")
        assert browser.text("#detail h2") == f"Drain of {HOSTILE}"
        assert HOSTILE in browser.text("#detail-body")
        assert browser.evaluate("document.images.length") == 1
        assert browser.evaluate("document.scripts.length") == 1


def test_injected_code_cannot_run_or_send(site: Site) -> None:
    site.provoked = True
    tried = site.browser.evaluate(
        """(async () => {
            const refused = [];
            document.addEventListener('securitypolicyviolation', (e) =>
                refused.push(e.effectiveDirective));
            try { document.body.innerHTML += '<b>x</b>'; } catch { refused.push('html'); }
            try { (0, eval)('1'); } catch { refused.push('eval'); }
            const script = document.createElement('script');
            try { script.text = 'window.ran = 1'; } catch { refused.push('script'); }
            document.head.append(script);
            const image = new Image();
            image.src = 'http://192.0.2.1/x.png';
            await fetch('http://192.0.2.1/').catch(() => {});
            await new Promise((done) => setTimeout(done, 100));
            return {refused, ran: window.ran ?? 0};
        })()"""
    )
    assert tried["ran"] == 0
    assert {"html", "eval", "script", "img-src", "connect-src"} <= set(tried["refused"])


def test_the_page_recovers_when_the_daemon_is_back(browser: Browser) -> None:
    with opened(browser, "web") as site:
        pass  # the daemon has ended, and its page with it
    port = urlsplit(site.url).port
    assert port
    with served(site.node, site.drains) as url:
        browser.open(url)
        browser.until(lambda: browser.text("#status") == "live")
        port = urlsplit(url).port
    browser.until(lambda: browser.text("#status").startswith("connection lost at "))
    old = "getComputedStyle(document.querySelector('#in-flight .value')).color"
    dimmed = browser.evaluate(old)
    site.set_pod(1, "web", in_flight=42)
    with served(site.node, site.drains, port or 0):
        browser.until(lambda: browser.text("#status") == "live")
        browser.until(lambda: site.cell(1, 3) == "42")
        assert browser.evaluate(old) != dimmed
        browser.open("about:blank")


def test_missed_events_are_shown_with_their_consequences(site: Site) -> None:
    assert site.browser.text("#counters") == "Nothing corrected, no event missed."
    site.node.drift = 1
    site.node.lost = {"recursion": 27_800, "watch": 0, "probe": 12, "else": 1}
    site.browser.until(lambda: "27,800" in site.browser.text("#counters"))
    assert site.browser.texts("#counters p") == [
        "1 connection corrected. Events missed:",
        "27,800 dropped by the kernel: numbers may be off until a snapshot corrects them, "
        "drains end up to 1 s late.",
        "12 probes not recognised: they count as traffic, and drains may take longer.",
        "1 missed (else): see the metrics.",
        "Snapshots, not events, decide when a drain has ended.",
    ]


def test_details_of_an_ended_drain_are_shown(site: Site) -> None:
    record = DrainRecord("shop/web-1", 5, time.time() - 9, phases=[("deadline", 8.0)])
    record.result, record.reason = "deadline", "the timeout of 8 s is over"
    record.by_state, record.arrivals, record.last_arrival = {"ESTABLISHED": 2}, 7, 6.5
    site.drains.known = [record]
    site.browser.until(lambda: site.browser.texts("#drains tbody button"))
    site.browser.evaluate("document.querySelector('#drains tbody button').click()")
    facts = site.browser.texts("#detail .facts > div")
    for fact in (
        "Result\ndeadline",
        "Reason\nthe timeout of 8 s is over",
        "Left\nESTABLISHED 2",
        "Arrivals\n7",
        "Last arrival\nafter 6.5 s",
    ):
        assert fact in facts
