"""The page in a browser, and the node that it shows."""

from collections.abc import Iterator
from contextlib import contextmanager

from drainmon.model.counts import Counts
from drainmon.model.tcp import TcpState
from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod
from tests.page.browser import Browser
from tests.page.made_up import Drains, Node, served

WAYS_IN = ("folder", "@drainmon")


class Site:
    """The page in a browser, and the node that it shows."""

    def __init__(self, browser: Browser, url: str, node: Node, drains: Drains) -> None:
        self.browser, self.url, self.node, self.drains = browser, url, node, drains
        self.provoked = False
        """Whether the test itself did what a page may not do."""

    def set_pod(self, number: int, name: str, in_flight: int, accepted: int = 0) -> None:
        nginx = (NginxProcess(77, 1, 5),)
        pod = Pod(
            number, 4_000 + number, Identity(unit=name), nginx, frozenset({80}), ways_in=WAYS_IN
        )
        states = {TcpState.ESTABLISHED: in_flight, TcpState.TIME_WAIT: 2}
        self.node.counted[number] = (pod, Counts(states, accepted, 1.0))

    def rows(self) -> list[str]:
        """The names in the table of pods, as shown."""
        return self.browser.texts("#pods tbody th button")

    def cell(self, number: int, column: int) -> str:
        return self.browser.text(f"#pods [data-pod='{number}'] > :nth-child({column})")


@contextmanager
def opened(browser: Browser, *names: str) -> Iterator[Site]:
    """The page of a node with pods of these names, each with as many connections as its number."""
    site = Site(browser, "", Node(), Drains())
    for number, name in enumerate(names, start=1):
        site.set_pod(number, name, in_flight=number)
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
