"""A real Prometheus that scrapes with a configuration from daemonset/prometheus."""

import json
import random
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.harness import ROOT
from tests.waiting import eventually

PROGRAM = ROOT / "build" / "prometheus" / "usr" / "bin" / "prometheus"
FOLDER = ROOT / "daemonset" / "prometheus"
DISCOVERY = """\
    kubernetes_sd_configs:
      - role: pod
"""
INTERVALS = """\
global:
  scrape_timeout: 500ms
  evaluation_interval: 1s

"""
OURS, QUICK = "scrape_interval: 15s", "scrape_interval: 500ms"
PORT = 9935
NODE = "node7"


def any_loopback_address() -> str:
    """A loopback address that is unique on this host, as the port is given."""
    return f"127.{random.randrange(1, 255)}.{random.randrange(255)}.{random.randrange(1, 255)}"


def in_a_cluster(pod_ip: str) -> str:
    """The example as it is, with the daemon's pod in place of Kubernetes' service discovery."""
    labels = {
        "__meta_kubernetes_pod_ip": pod_ip,
        "__meta_kubernetes_pod_node_name": NODE,
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": "drainmon",
    }
    other = labels | {"__meta_kubernetes_pod_label_app_kubernetes_io_name": "other"}
    targets = [{"targets": ["pod"], "labels": labels}, {"targets": ["no-pod"], "labels": other}]
    text = (FOLDER / "prometheus.yml").read_text()
    assert DISCOVERY in text
    return text.replace(DISCOVERY, f"    static_configs: {json.dumps(targets)}\n")


def on_a_host(address: str) -> str:
    """The example as it is, with the host's address."""
    text = (FOLDER / "static.yml").read_text()
    assert text.count("- localhost:") == 1
    return text.replace("- localhost:", f"- {address}:")


class Prometheus:
    """Its HTTP interface."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, **parameters: object) -> Any:
        """Prometheus's answer under `data`. Fails with the error that Prometheus reports."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}?{query}") as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def values(self, expression: str) -> list[float]:
        """The values of an instant query."""
        result = self.ask("/api/v1/query", query=expression)["result"]
        return [float(series["value"][1]) for series in result]

    def value(self, expression: str) -> float | None:
        """The value of a query with one series; None while there is none."""
        return next(iter(self.values(expression)), None)

    def range(self, expression: str, seconds: float) -> list[float]:
        """Every value of a range query that ends now."""
        now = time.time()
        result = self.ask(
            "/api/v1/query_range", query=expression, start=now - seconds, end=now, step=1
        )["result"]
        return [float(value) for series in result for _, value in series["values"]]


@contextmanager
def running_prometheus(folder: Path, host: str, configuration: str) -> Iterator[Prometheus]:
    """Run Prometheus until the block ends; it listens at the address `host` and keeps its data in
    `folder`. It loads the rules, and scrapes at a test's interval."""
    with socket.create_server((host, 0)) as free:
        address = f"{host}:{free.getsockname()[1]}"
    config = folder / "prometheus.yml"
    rules = f"- {FOLDER}/drainmon.rules.yml"
    assert OURS in configuration
    text = configuration.replace("- drainmon.rules.yml", rules).replace(OURS, QUICK)
    config.write_text(INTERVALS + text)
    argv = [
        str(PROGRAM), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]  # fmt: skip
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True)
    try:
        prometheus = Prometheus(address)

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return bool(prometheus.ask("/api/v1/status/runtimeinfo"))
            except (OSError, AssertionError):  # not listening yet, or not ready
                return False

        eventually(ready, within=30)
        yield prometheus
    finally:
        process.terminate()
        process.wait(20)
