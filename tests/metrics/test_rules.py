"""The recording and alerting rules, by Prometheus's own tests; and the existence of the metrics
they use."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.metrics.made_up import FIXTURES, ROOT, program

RULES = ROOT / "daemonset" / "prometheus" / "drainmon.rules.yml"
TESTS = RULES.with_name("drainmon.rules.test.yml")
DASHBOARD = ROOT / "daemonset" / "grafana" / "drainmon.json"


def promtool(*arguments: str, folder: Path = RULES.parent) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("promtool"), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_rules_pass_their_promtool_tests() -> None:
    done = promtool("test", "rules", TESTS.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_promtool_tests_fail_without_any_alert(tmp_path: Path) -> None:
    alert = re.compile(r"(- alert: (\w+)\n +expr:).*?(\n +(?:for|labels):)", re.DOTALL)
    silent = alert.sub(r"\1 vector(0) > 1\3", RULES.read_text())
    (tmp_path / RULES.name).write_text(silent)
    (tmp_path / TESTS.name).write_text(TESTS.read_text())
    done = promtool("test", "rules", TESTS.name, folder=tmp_path)
    assert done.returncode == 1
    for _, name, _ in alert.findall(RULES.read_text()):
        assert name in done.stdout + done.stderr


def test_promtool_accepts_the_rules() -> None:
    done = promtool("check", "rules", RULES.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_documented_output_of_promtool_is_current() -> None:
    page = (ROOT / "docs" / "prometheus.md").read_text()
    done = promtool("check", "config", "static.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    successes = re.findall(r"SUCCESS: .*", done.stdout)
    assert len(successes) == 3
    for success in successes:
        assert success.replace("static.yml", "/etc/prometheus/prometheus.yml") in page


def test_documented_prometheusrule_has_the_rules(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "prometheus.md").read_text()
    (script,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    (tmp_path / "drainmon").symlink_to(ROOT)
    done = subprocess.run(
        ["sh", "-euc", script.replace("kubectl apply --filename -", "cat")],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    made = yaml.safe_load(done.stdout)
    assert (made["apiVersion"], made["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert made["spec"] == yaml.safe_load(RULES.read_text())


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_every_metric_in_use_exists(path: Path) -> None:
    known = set(re.findall(r"^(\w+)[ {]", (FIXTURES / "metrics.txt").read_text(), re.MULTILINE))
    # Neither a recorded series (its name has colons) nor a file's name.
    used = set(re.findall(r"(?<![:\w])(?:drainmon|process)_\w+(?![:\w])", path.read_text()))
    assert len(used) > 5
    assert used <= known


def test_every_alert_has_a_runbook() -> None:
    alerts = RULES.read_text().split("- alert: ")[1:]
    assert len(alerts) > 5
    for alert in alerts:
        for part in ("severity: ", "summary: ", "description: ", "runbook: "):
            assert part in alert, alert
