"""The whole text of /metrics, and its changes from scrape to scrape."""

import asyncio
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from drainmon.metrics import collector
from drainmon.metrics.exposition import Exposition
from drainmon.metrics.pod_families import PodFamilies, by_labels
from drainmon.model.counts import Counts
from drainmon.model.tcp import TcpState
from tests.metrics.made_up import (
    FIXTURES,
    ROOT,
    MadeUpDrains,
    MadeUpNode,
    full_node,
    pod,
    program,
)

GOLDEN = FIXTURES / "metrics.txt"


async def scrape(node: MadeUpNode) -> str:
    return (await Exposition(node, MadeUpDrains(), FIXTURES / "proc").text()).decode()


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Samples of a name by the values of their labels, without namespaces."""
    return {
        tuple(value for key, value in sample.labels.items() if key != "namespace"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def test_the_whole_text_matches_the_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "__version__", "1.2.3")
    assert await scrape(full_node()) == GOLDEN.read_text()


def test_promtool_accepts_the_metrics() -> None:
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=GOLDEN.read_text(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_promtool_rejects_a_faulty_name() -> None:
    spoilt = GOLDEN.read_text().replace("drainmon_late_drains_total", "drainmon_late_drains")
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=spoilt, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode != 0


async def test_a_state_once_seen_stays_at_zero_while_the_pod_exists() -> None:
    node = MadeUpNode([(pod(1, "web"), Counts({TcpState.CLOSE_WAIT: 2}, 5))])
    exposition = Exposition(node, MadeUpDrains(), FIXTURES / "proc")
    await exposition.text()
    node.live = [(pod(1, "web"), Counts({}, 5))]
    text = (await exposition.text()).decode()
    assert values(text, "drainmon_connections") == {
        ("web", "CLOSE_WAIT"): 0,
        ("web", "ESTABLISHED"): 0,
    }
    node.live = []
    await exposition.text()
    node.live = [(pod(2, "web"), Counts())]
    text = (await exposition.text()).decode()
    assert values(text, "drainmon_connections") == {("web", "ESTABLISHED"): 0}


async def test_a_departed_pod_keeps_only_its_accepted_total() -> None:
    text = await scrape(MadeUpNode(gone=[(pod(1, "web"), Counts({TcpState.FIN_WAIT1: 3}, 12))]))
    assert values(text, "drainmon_accepted_total") == {("web",): 12}
    assert values(text, "drainmon_in_flight") == values(text, "drainmon_connections") == {}


async def test_a_live_pod_replaces_the_series_of_a_departed_namesake() -> None:
    # As a StatefulSet's pod does: the counter restarts, as after any restart.
    node = MadeUpNode(
        live=[(pod(3, "web-0"), Counts({}, 2))],
        gone=[
            (pod(1, "web-0"), Counts({}, 500)),
            (pod(2, "web-1"), Counts({}, 30)),
            (pod(4, "web-1"), Counts({}, 40)),
        ],
    )
    text = await scrape(node)
    assert values(text, "drainmon_accepted_total") == {("web-0",): 2, ("web-1",): 40}


async def test_live_namesakes_are_added_up() -> None:
    node = MadeUpNode(
        [
            (pod(1, "web"), Counts({TcpState.ESTABLISHED: 2}, 10)),
            (pod(2, "web"), Counts({TcpState.ESTABLISHED: 1}, 5)),
        ]
    )
    text = await scrape(node)
    assert values(text, "drainmon_accepted_total") == {("web",): 15}
    assert values(text, "drainmon_connections") == {("web", "ESTABLISHED"): 3}


@given(
    st.dictionaries(
        st.text(min_size=1), st.dictionaries(st.sampled_from(TcpState), st.integers(0, 2**48))
    )
)
def test_any_pod_name_and_number_survives_the_text_format(
    given: dict[str, dict[TcpState, int]],
) -> None:
    live = [
        (pod(number, label), Counts(states, 1 + number))
        for number, (label, states) in enumerate(given.items())
    ]
    text = asyncio.run(PodFamilies().text(*by_labels(live, [])))
    assert values(text, "drainmon_accepted_total") == {
        (label,): 1 + number for number, label in enumerate(given)
    }
    assert values(text, "drainmon_in_flight") == {
        (pod.label,): counts.in_flight for pod, counts in live
    }
    connections = values(text, "drainmon_connections")
    for label, states in given.items():
        for state, count in states.items():
            assert connections[label, state.name] == count


async def test_rendering_yields_to_other_tasks() -> None:
    node = MadeUpNode([(pod(n, f"web-{n}"), Counts({}, n)) for n in range(500)])
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(count_turns())
    await scrape(node)
    other.cancel()
    assert turns > 20


async def test_a_cancelled_scrape_does_not_break_the_next() -> None:
    node = MadeUpNode([(pod(n, f"web-{n}"), Counts({TcpState.CLOSING: 1})) for n in range(50)])
    exposition = Exposition(node, MadeUpDrains(), FIXTURES / "proc")
    await exposition.text()
    given_up = asyncio.create_task(exposition.text())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    node.live = [(pod, Counts()) for pod, _ in node.live]
    text = (await exposition.text()).decode()
    assert len(values(text, "drainmon_connections")) == 100


def documented() -> dict[str, tuple[str, set[str]]]:
    """The type and the labels of each metric in docs/metrics.md."""
    lines = (ROOT / "docs/metrics.md").read_text().splitlines()
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith(("| `drainmon_", "| `process_"))
    ]
    return {row[0]: (row[1], set(re.findall(r"\w+", row[2]))) for row in rows}


def test_every_metric_is_documented() -> None:
    exposed: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(GOLDEN.read_text()):
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        exposed[name] = (family.type, labels)
    assert documented() == exposed
