"""The web page in a real browser shows the daemon's answers, before, during and after a real pod's
drain."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.rig.pod import FakePod
from tests.e2e.api import pod_in, record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import Daemon, MakePod, daemon_in, finish, wait_argv
from tests.page.browser import PROGRAM, Browser
from tests.waiting import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(PROGRAM is None, reason="needs chromium-headless-shell"),
]

TIMEOUT = 25


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon_in(tmp_path_factory.mktemp("daemon"), "--listen", "127.0.0.1:0") as daemon:
        yield daemon


def address_in(log: Path) -> str:
    """The address of the daemon's page; empty until the log has it."""
    said = (json.loads(line) for line in log.read_text().splitlines())
    return next((str(line["listen"]) for line in said if line["event"] == "serving"), "")


@contextmanager
def page_of(daemon: Daemon, profile: Path) -> Iterator[Browser]:
    """The page, live."""
    eventually(lambda: address_in(daemon.log))
    url = f"http://{address_in(daemon.log)}/"
    with Browser(profile) as browser:
        browser.look(1440, 900)
        browser.open(url)
        browser.until(lambda: browser.text("#status") == "live")
        yield browser
        assert browser.complaints == []
        assert [asked for asked in browser.requests if not asked.startswith(url)] == []


@pytest.fixture
def browser(listening: Daemon, tmp_path: Path) -> Iterator[Browser]:
    with page_of(listening, tmp_path / "profile") as browser:
        yield browser


def row_of(name: str) -> str:
    """The row of a pod among those of the machine, in JavaScript."""
    return f"""[...document.querySelectorAll('#pods tbody tr')].find((row) =>
        row.querySelector('button').innerText === {json.dumps(name)})"""


def row(browser: Browser, name: str) -> list[str]:
    """Ports, in flight, states and arrivals, as the page shows them; empty without a row."""
    cells: list[str] = browser.evaluate(
        f"[...({row_of(name)}?.cells ?? [])].map((cell) => cell.innerText)"
    )
    return [cells[at] for at in (1, 2, 4, 6)] if cells else []


def reported(daemon: Daemon, pod: FakePod) -> dict[str, Any]:
    return pod_in(daemon.socket, pod.netns.inode)


def as_shown(pod: dict[str, Any]) -> list[str]:
    """A pod of /v1/pods as its row should be."""
    states = ", ".join(f"{state} {count}" for state, count in pod["by_state"].items())
    ports = ", ".join(map(str, pod["ports"]))
    arrivals = str(pod["accepted"] - pod["probes_accepted"])
    return [ports, str(pod["in_flight"]), states or "–", arrivals]  # noqa: RUF001


def test_the_page_shows_a_drain_from_beginning_to_end(
    listening: Daemon, browser: Browser, make_pod: MakePod
) -> None:
    pod = make_pod()
    with Connection(pod) as idle, Connection(pod, receive_buffer=32768) as slow:
        assert b"200 OK" in idle.get()
        slow.send("/file", close=True)
        slow.read(1000)
        browser.until(lambda: reported(listening, pod).get("in_flight") == 2)
        name = reported(listening, pod)["pod"]
        browser.until(lambda: row(browser, name) == as_shown(reported(listening, pod)))

        hook = pod.exec(wait_argv(listening.socket, timeout=TIMEOUT, min_wait="1s", quiet="0.3s"))
        browser.until(lambda: browser.text("#draining h3") == name)
        browser.until(lambda: browser.text("#draining [aria-current]") == "waiting")
        record = record_of(listening.socket, pod)
        assert record["result"] is None
        assert browser.text("#draining .amounts > b") == str(record["in_flight"]) == "1"
        assert browser.text("#draining .reason") == record["reason"]
        left = float(browser.text("#draining .amounts span b").removesuffix(" s"))
        assert left == pytest.approx(TIMEOUT - (time.time() - record["started"]), abs=3)
        (badge,) = browser.texts(".badge:not([hidden])")
        assert badge.split() == ["draining:", "waiting"]

        browser.evaluate(f"{row_of(name)}.querySelector('button').click()")
        browser.until(lambda: len(browser.texts(".connections tbody tr:not(.safe)")) == 1)
        remote, port, state, *_ = browser.texts(".connections tbody tr:not(.safe) > *")
        assert (remote, port) == (f"{pod.client_address}:{slow.port}", "80")
        assert state in {"ESTABLISHED", "FIN_WAIT1"}
        facts = browser.texts("#detail .facts > div")
        assert f"Ways in\n{', '.join(reported(listening, pod)['ways_in']) or 'none'}" in facts
        browser.press("Escape")

        slow.read_all()
        assert finish(hook)[0] == 0
    browser.until(lambda: browser.texts("#drains tbody tr"))
    record = record_of(listening.socket, pod)
    shown = browser.texts("#drains tbody tr:first-child > *")
    assert shown[:2] == [name, "drained"]
    assert shown[3:] == [
        f"{record['seconds']:.1f} s",
        str(record["peak_in_flight"]),
        str(record["arrivals"]),
        "–" if record["last_arrival"] is None else f"{record['last_arrival']:.1f} s",  # noqa: RUF001
        str(len(record["rolls"])),
    ]
    assert browser.texts("#draining li") == []
    browser.until(lambda: row(browser, name) == as_shown(reported(listening, pod)))


def test_the_page_names_the_processes_that_are_not_found(tmp_path: Path) -> None:
    names = ("--process", "engine-y", "--process", "engine-x")
    with (
        daemon_in(tmp_path, "--listen", "127.0.0.1:0", *names) as daemon,
        page_of(daemon, tmp_path / "profile") as browser,
    ):
        said = "The daemon sees no process named engine-x or engine-y on this node."
        assert browser.text("#no-pods").startswith(said)
