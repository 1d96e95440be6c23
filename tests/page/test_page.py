"""The web page in a real browser, before a node that the test makes up."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from drainmon.drain.report import DrainRecord
from drainmon.model.ledger import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import TcpState
from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod
from tests.page.browser import PROGRAM, Browser
from tests.page.made_up import Drains, Node, served
from tests.unit.sockets import established, never_used

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs chromium-headless-shell")

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&amp;\u202e{{7*7}}"


class Site:
    """The page in a browser, and the node that it shows."""

    def __init__(self, browser: Browser, url: str, node: Node, drains: Drains) -> None:
        self.browser, self.url, self.node, self.drains = browser, url, node, drains
        self.provoked = False
        """Whether the test itself did what a page may not do."""

    def tell(self, number: int, name: str, in_flight: int, accepted: int = 0) -> None:
        nginx = (NginxProcess(77, 1, 5),)
        pod = Pod(number, 4_000 + number, Identity(unit=name), nginx, frozenset({80}))
        states = {TcpState.ESTABLISHED: in_flight, TcpState.TIME_WAIT: 2}
        self.node.told[number] = (pod, Counts(states, accepted, 1.0))

    def rows(self) -> list[str]:
        """The names in the table of pods, as shown."""
        return self.browser.texts("#pods tbody th button")

    def cell(self, number: int, column: int) -> str:
        return self.browser.text(f"#pods [data-pod='{number}'] > :nth-child({column})")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@contextmanager
def opened(browser: Browser, *names: str) -> Iterator[Site]:
    """The page of a node with pods of these names, each with as many connections as its number."""
    site = Site(browser, "", Node(), Drains())
    for number, name in enumerate(names, start=1):
        site.tell(number, name, in_flight=number)
    with served(site.node, site.drains) as site.url:
        browser.look(1440, 900)
        browser.open(site.url)
        browser.until(lambda: browser.text("#status") == "live")
        yield site
        if site.provoked:
            return
        foreign = [url for url in browser.requests if not url.startswith(site.url)]
        assert foreign == []
        assert browser.complaints == []
        browser.open("about:blank")


@pytest.fixture
def site(browser: Browser) -> Iterator[Site]:
    with opened(browser, "shop/web-1", "shop/web-2", "api/gateway-0") as site:
        yield site


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


def test_by_keyboard(site: Site) -> None:
    browser = site.browser
    site.node.snapshots[3] = Snapshot(100.0, 100.0, (established(98.0), never_used()))
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
    assert "not in flight" in browser.texts(".connections tbody tr")[1]
    browser.press("Escape")
    browser.until(lambda: not browser.evaluate("document.querySelector('#detail').open"))
    assert browser.focused() == "button||api/gateway-0"


def test_for_those_who_do_not_see_it(site: Site) -> None:
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
    # What begins and ends is told, and not the figures, which change all the time.
    live = "[...document.querySelectorAll('output, [role=status], [role=alert], [aria-live]')]"
    assert site.browser.evaluate(f"{live}.map((e) => e.id)") == [
        "status", "notice", "shown", "news",
    ]  # fmt: skip
    assert site.browser.text("#news") == ""
    record = DrainRecord("shop/web-1", 5, time.time(), phases=[("settling", 0.0)], timeout=25.0)
    site.drains.told = [record]
    site.browser.until(lambda: site.browser.text("#news") == "Drain of shop/web-1 began.")
    record.result = "drained"
    site.browser.until(lambda: "shop/web-1 ended: drained" in site.browser.text("#news"))


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


def test_at_every_width_and_in_both_schemes(browser: Browser) -> None:
    long = "namespace-with-a-long-name/deployment-with-a-long-name-7d5fb757db-4c8kz"
    with opened(browser, long, "web") as site:
        record = DrainRecord(long, 5, time.time(), phases=[("settling", 0.0)], timeout=25.0)
        ended = DrainRecord(long, 6, time.time(), phases=[("drained", 0.0)], result="drained")
        site.drains.told = [record, ended]
        browser.until(lambda: browser.texts("#drains tbody th"))
        for width, dark in itertools.product((1440, 820, 390), (False, True)):
            browser.look(width, 900, dark)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            cut = browser.evaluate(
                """[...document.querySelectorAll('thead th, .result, h2, h3')].filter((e) =>
                e.offsetParent && e.scrollWidth > e.clientWidth + 1).map((e) => e.innerText)"""
            )
            assert cut == []
            assert contrasts(browser) == []


def contrasts(browser: Browser) -> list[str]:
    """Texts whose contrast with what is behind them is below 4.5 (WCAG 2 AA)."""
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
