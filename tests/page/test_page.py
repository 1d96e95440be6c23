"""The web page in a real browser, before a node that the test makes up."""

import time
from urllib.parse import urlsplit

import pytest

from drainmon.drain.report import DrainRecord
from tests.page.browser import PROGRAM, Browser
from tests.page.made_up import served
from tests.page.site import Site, opened

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs chromium-headless-shell")

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&amp;\u202e{{7*7}}"


def test_it_loads_nothing_from_elsewhere(site: Site) -> None:
    paths = {urlsplit(url).path for url in site.browser.requests}
    assert {"/", "/page/main.js", "/page/uplot/uPlot.esm.js", "/v1/events"} <= paths
    assert site.browser.text("#pod-count") == "3"


def test_figures_follow_the_node(site: Site) -> None:
    assert site.cell(2, 3) == "2"
    assert site.cell(2, 5) == "ESTABLISHED 2, TIME_WAIT 2"
    assert site.browser.text("#in-flight .value") == "6"
    site.tell(2, "shop/web-2", in_flight=1234, accepted=5000)
    site.browser.until(lambda: site.cell(2, 3) == "1,234")
    assert site.cell(2, 7) == "5,000"
    assert site.browser.text("#in-flight .value") == "1,238"
    # 5,000 in one turn, or in one that came a little late.
    assert 2500 < float(site.cell(2, 6).replace(",", "")) <= 5500
    site.browser.until(lambda: site.cell(2, 6) == "0")
    del site.node.told[1]
    site.tell(9, "new/pod", 0)
    site.browser.until(lambda: site.rows() == ["api/gateway-0", "new/pod", "shop/web-2"])


def test_lines_are_drawn(site: Site) -> None:
    drawn = """[...document.querySelectorAll('canvas')].filter((canvas) => {
        const {width, height} = canvas;
        const blank = Object.assign(document.createElement('canvas'), {width, height});
        return canvas.toDataURL() !== blank.toDataURL();
    }).length"""
    # Three pods, and the node's two charts.
    site.browser.until(lambda: site.browser.evaluate(drawn) == 5)


def test_names_are_text_whatever_they_are(browser: Browser) -> None:
    with opened(browser, HOSTILE) as site:
        record = DrainRecord(HOSTILE, 5, time.time() - 9, phases=[(HOSTILE, 0.0)], result=HOSTILE)
        record.reason = HOSTILE
        running = DrainRecord(HOSTILE, 6, time.time(), phases=[("settling", 0.0)], timeout=25.0)
        running.reason = HOSTILE
        site.drains.told = [running, record]
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


def test_nothing_can_be_run_or_sent_elsewhere(site: Site) -> None:
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


def test_sorted_and_filtered(site: Site) -> None:
    assert site.rows() == ["api/gateway-0", "shop/web-1", "shop/web-2"]
    head = "document.querySelector('#pods [data-sort=in_flight]')"
    site.browser.evaluate(f"{head}.querySelector('button').click()")
    assert site.rows() == ["api/gateway-0", "shop/web-2", "shop/web-1"]
    assert site.browser.evaluate(f"{head}.ariaSort") == "descending"
    site.browser.evaluate(f"{head}.querySelector('button').click()")
    assert site.rows() == ["shop/web-1", "shop/web-2", "api/gateway-0"]
    write = "((f, v) => { f.value = v; f.dispatchEvent(new Event('input')); })"
    field = "document.querySelector('#filter')"
    site.browser.evaluate(f"{write}({field}, 'WEB-2')")
    assert site.rows() == ["shop/web-2"]
    assert site.browser.text("#shown") == "1 of 3"
    site.browser.evaluate(f"{write}({field}, 'nothing')")
    assert site.browser.text("#no-pods") == "No pod has this name or port."
    site.browser.evaluate(f"{write}({field}, '80')")
    assert len(site.rows()) == 3


def test_a_daemon_that_goes_and_comes_back(browser: Browser) -> None:
    with opened(browser, "web") as site:
        pass  # the daemon has ended, and the page is gone with it
    port = urlsplit(site.url).port
    assert port
    with served(site.node, site.drains) as url:
        browser.open(url)
        browser.until(lambda: browser.text("#status") == "live")
        port = urlsplit(url).port
    browser.until(lambda: "lost" in browser.text("#status"))
    site.tell(1, "web", in_flight=42)
    with served(site.node, site.drains, port or 0):
        browser.until(lambda: browser.text("#status") == "live")
        browser.until(lambda: site.cell(1, 3) == "42")
        browser.open("about:blank")


def test_500_pods(browser: Browser) -> None:
    names = [f"service-{n:03}-5d7c8f9b4-abcde" for n in range(500)]
    with opened(browser, *names) as site:
        rows = "document.querySelectorAll('#pods tbody tr').length"
        browser.until(lambda: browser.evaluate(rows) == 500)
        # Lines are drawn for those in sight only.
        browser.until(
            lambda: browser.evaluate("document.querySelectorAll('#pods canvas').length") > 0
        )
        assert browser.evaluate("document.querySelectorAll('#pods canvas').length") < 60
        for turn in range(1, 3):
            for number, name in enumerate(names, start=1):
                site.tell(number, name, number + turn, turn * 10)
            shown = str(1 + turn)
            browser.until(lambda shown=shown: site.cell(1, 3) == shown)  # type: ignore[misc]
        browser.evaluate("scrollTo(0, document.body.scrollHeight)")
        drawn = "[...document.querySelectorAll('#pods tbody tr')].at(-1).querySelector('canvas')"
        browser.until(lambda: browser.evaluate(f"!!{drawn}"))
        browser.until(lambda: site.cell(500, 3) == "502")
        assert browser.evaluate("document.querySelectorAll('#pods canvas').length") < 60
