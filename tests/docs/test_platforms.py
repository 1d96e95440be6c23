"""docs/platforms.md has a row for each platform, with the evidence for each."""

import re

import pytest

from tests.cluster.manifests import ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "platforms.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| platform")
]


@pytest.mark.parametrize(
    "name",
    ["kind", "minikube", "k3s", "EKS,", "EKS Auto Mode", "EKS on Fargate", "GKE Standard",
     "GKE Autopilot", "AKS,", "Talos", "Bottlerocket", "OpenShift", "docker", "podman", "systemd"],
)  # fmt: skip
def test_each_platform_has_a_row(name: str) -> None:
    assert [row for row in ROWS if row[0].startswith(name)]


def test_each_platform_has_its_evidence() -> None:
    for row in ROWS:
        assert len(row) == 5, row
        assert re.match("(seen|reasoned)\\b", row[-1]), row


def test_documented_probe_processes_of_k3s_are_the_defaults() -> None:
    (row,) = (row for row in ROWS if row[0].startswith("k3s"))
    names = {name for name in re.findall("`([a-z0-9-]+)`", row[3]) if name[0] != "-"}
    options = (ROOT / "docs" / "options.md").read_text()
    (line,) = re.findall(r"^\| `--probe-process.*$", options, re.MULTILINE)
    assert names <= set(re.findall("`([a-z0-9-]+)`", line))
