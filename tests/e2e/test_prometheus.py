"""A real Prometheus scrapes the daemon: a drain's metrics, the rules, the dashboard's queries."""

import json
import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from bench.rig.daemon import running_daemon
from bench.rig.netns import fresh_netns
from bench.rig.pod import FakePod
from tests.e2e.api import pod_in, record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import DAEMON, ROOT, Daemon, MakePod, finish, wait_argv
from tests.e2e.prometheus import (
    NODE,
    PORT,
    Prometheus,
    any_loopback_address,
    in_a_cluster,
    on_a_host,
    running_prometheus,
)
from tests.waiting import eventually

pytestmark = pytest.mark.root

DASHBOARD: dict[str, Any] = json.loads((ROOT / "daemonset/grafana/drainmon.json").read_text())
VARIABLES = {
    "$__rate_interval": "10s", "$__range": "5m",
    "$node": NODE, "$namespace": ".*", "$pod": ".*",
}  # fmt: skip
EMPTY = "drainmon_source_refused"
"""Empty on a healthy node."""


class Scraped:
    """A daemon, and the Prometheus that scrapes it."""

    def __init__(self, daemon: Daemon, prometheus: Prometheus) -> None:
        self.daemon = daemon
        self.prometheus = prometheus

    def pod(self, pod: FakePod) -> dict[str, Any]:
        return pod_in(self.daemon.socket, pod.netns.inode)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("prometheus")
    daemon, address = Daemon(folder), any_loopback_address()
    flags = ["--listen", f"{address}:{PORT}", "--reconcile-interval", "100ms"]
    with (
        running_daemon(DAEMON, daemon.socket, daemon.log, flags) as daemon.pid,
        running_prometheus(folder, address, in_a_cluster(address)) as prometheus,
    ):
        eventually(lambda: prometheus.values("drainmon_build_info"))
        yield Scraped(daemon, prometheus)


@pytest.fixture(scope="module")
def drained(scraped: Scraped) -> Iterator[tuple[FakePod, dict[str, Any]]]:
    """The only drain: its pod, with one connection from before and one from during the drain, and
    its record."""
    with fresh_netns("drainmon-client") as client, FakePod(client) as pod:
        yield pod, drain(scraped, pod)


def drain(scraped: Scraped, pod: FakePod) -> dict[str, Any]:
    with Connection(pod) as connection:
        assert connection.get()
        eventually(lambda: scraped.pod(pod).get("in_flight") == 1)
        label = scraped.pod(pod)["pod"]
        in_flight = f'drainmon_in_flight{{pod="{label}"}}'
        eventually(lambda: scraped.prometheus.value(in_flight) == 1)
        hook = pod.exec(wait_argv(scraped.daemon.socket, min_wait="0s", quiet="1s"))
        eventually(lambda: record_of(scraped.daemon.socket, pod).get("phases"))
        with Connection(pod) as late:
            assert late.get()
        assert connection.read() == b""
    status, output = finish(hook)
    assert status == 0, output
    return record_of(scraped.daemon.socket, pod)


def test_the_example_configuration_finds_the_daemon(scraped: Scraped) -> None:
    (target,) = scraped.prometheus.ask("/api/v1/targets")["activeTargets"]
    assert target["health"] == "up", target["lastError"]
    assert target["labels"] == {"job": "drainmon", "instance": NODE}


def test_a_host_without_kubernetes_is_named_by_its_address(tmp_path: Path) -> None:
    daemon, address = Daemon(tmp_path), any_loopback_address()
    flags = ["--listen", f"{address}:{PORT}"]
    with (
        running_daemon(DAEMON, daemon.socket, daemon.log, flags),
        running_prometheus(tmp_path, address, on_a_host(address)) as prometheus,
    ):
        eventually(lambda: prometheus.values("drainmon_build_info"))
        (target,) = prometheus.ask("/api/v1/targets")["activeTargets"]
        assert target["health"] == "up", target["lastError"]
        assert target["labels"] == {"job": "drainmon", "instance": address}
        assert len(prometheus.ask("/api/v1/rules")["groups"]) == 2


def test_a_drain_shows_in_the_metrics(
    scraped: Scraped, drained: tuple[FakePod, dict[str, Any]]
) -> None:
    ask, (pod, record) = scraped.prometheus, drained
    label, accepted = scraped.pod(pod)["pod"], scraped.pod(pod)["accepted"]
    eventually(lambda: ask.value('drainmon_drains_total{result="drained"}') == 1)
    assert (ask.value('increase(drainmon_drains_total{result="drained"}[1m])') or 0) > 0
    assert ask.value("drainmon_drain_seconds_count") == 1
    assert ask.value("drainmon_drain_seconds_sum") == pytest.approx(record["seconds"])
    assert ask.value("drainmon_last_arrival_seconds_sum") == pytest.approx(record["last_arrival"])
    # min-wait was zero, so every arrival was late; the quiet period was kept.
    assert ask.value("drainmon_late_drains_total") == 1
    assert ask.value("drainmon_unsettled_drains_total") == 0
    of_pod = f'{{instance="{NODE}", pod="{label}"}}'
    eventually(lambda: ask.value(f"drainmon_accepted_total{of_pod}") == accepted)
    eventually(lambda: ask.value(f"drainmon_in_flight{of_pod}") == 0)


def test_a_dead_pods_counters_remain(scraped: Scraped, make_pod: MakePod) -> None:
    ask, pod = scraped.prometheus, make_pod()
    eventually(lambda: scraped.pod(pod).get("ports"))
    with Connection(pod) as connection:
        assert connection.get()
        eventually(lambda: scraped.pod(pod).get("accepted") == 1)
        label = scraped.pod(pod)["pod"]
    eventually(lambda: ask.value(f'drainmon_in_flight{{pod="{label}"}}') is not None)
    pod.close()
    # A dead pod is noticed within ten rounds.
    eventually(lambda: ask.value(f'drainmon_in_flight{{pod="{label}"}}') is None, within=20)
    assert ask.value(f'drainmon_accepted_total{{pod="{label}"}}') == 1


def test_every_rule_is_evaluated(scraped: Scraped, drained: tuple[FakePod, dict[str, Any]]) -> None:
    def evaluated() -> bool:
        groups = scraped.prometheus.ask("/api/v1/rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) > 10
        assert not [rule for rule in rules if rule["health"] == "err"]
        return all(rule["health"] == "ok" for rule in rules)

    eventually(evaluated)
    eventually(lambda: scraped.prometheus.values("cluster:drainmon_last_arrival_seconds:p99_1d"))
    late = 'ALERTS{alertname="DrainmonArrivalsAfterMinWait", alertstate="firing"}'
    eventually(lambda: scraped.prometheus.values(late) == [1])


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def filled_in(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def test_every_query_of_the_dashboard_has_data(
    scraped: Scraped, drained: tuple[FakePod, dict[str, Any]]
) -> None:
    for panel in panels():
        for target in panel["targets"]:
            expression = filled_in(target["expr"])

            def data(expression: str = expression, instant: bool = "instant" in target) -> bool:
                ask = scraped.prometheus
                values = ask.values(expression) if instant else ask.range(expression, 60)
                return any(not math.isnan(value) for value in values)

            if EMPTY in expression:
                assert not data()
            else:
                eventually(data)


def test_every_variable_of_the_dashboard_has_values(
    scraped: Scraped, drained: tuple[FakePod, dict[str, Any]]
) -> None:
    source, *variables = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"]) == ("datasource", "datasource")
    offered = {}
    for variable in variables:
        assert variable["definition"] == variable["query"]["query"]
        series, label = variable["definition"].removeprefix("label_values(")[:-1].rsplit(", ", 1)
        offered[variable["name"]] = scraped.prometheus.ask(
            f"/api/v1/label/{label}/values", **{"match[]": filled_in(series)}
        )
    assert offered["node"] == [NODE]
    assert scraped.pod(drained[0])["pod"] in offered["pod"]


def test_the_dashboard_is_valid_for_grafana_9() -> None:
    assert DASHBOARD["schemaVersion"] == 37  # of Grafana 9.1; later ones upgrade it
    everything = DASHBOARD["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for one, other in combinations([panel["gridPos"] for panel in everything], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in everything)
