"""docs/inject.md: Kubernetes and Kyverno accept its kustomizations, and its pods match the
policies."""

import copy
import re
import shutil
import textwrap
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.cluster.admission import Injection, injection
from tests.cluster.manifests import FOLDER, ROOT, Manifest, one, render

PAGE = (ROOT / "docs/inject.md").read_text()
BLOCKS = [textwrap.dedent(b) for b in re.findall(r"\n\n((?:(?:    .*)?\n)+)", PAGE) if b.strip()]

KYVERNO_SPEC = {
    "autogen", "evaluation", "failurePolicy", "matchConditions", "matchConstraints", "mutations",
    "reinvocationPolicy", "targetMatchConstraints", "variables", "webhookConfiguration",
}  # fmt: skip
"""Of MutatingPolicy in github.com/kyverno/api, policies.kyverno.io/v1."""


def block(title: str, mention: str = "") -> str:
    (found,) = (b for b in BLOCKS if b.lstrip().startswith(f"# {title}") and mention in b)
    return found


def rendered(mention: str, folder: Path) -> list[Manifest]:
    shutil.copytree(FOLDER, folder / "drainmon/daemonset")
    (folder / "kustomization.yaml").write_text(block("kustomization.yaml", mention))
    return render(folder)


def test_the_image_is_set_in_one_place(tmp_path: Path) -> None:
    documents = rendered("/spec/variables/0/expression", tmp_path)
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "nginx"}]}}
    made = Injection(documents).mutated(pod)
    (volume,) = made["spec"]["volumes"]
    assert volume["image"]["reference"] == "registry.example.com/drainmon-client:0.1.0"
    assert one(documents, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["image"] == (
        "registry.example.com/drainmon:0.1.0"
    )


def test_daemon_listens_at_the_port_of_the_injected_hook(tmp_path: Path) -> None:
    documents = rendered("DRAINMON_IN_POD_PORT", tmp_path)
    assert one(documents, "ConfigMap")["data"]["DRAINMON_IN_POD_PORT"] == "9936"
    assert one(documents, "MutatingAdmissionPolicy")["spec"] == injection("inject-http").spec


def test_documented_pods_match_the_policies(tmp_path: Path) -> None:
    before, after = (yaml.safe_load(block(title)) for title in ("before", "after"))
    assert Injection(rendered("/spec/variables/0/expression", tmp_path)).mutated(before) == after
    (hook,) = (yaml.safe_load(b) for b in BLOCKS if b.lstrip().startswith("preStop:"))
    by_http = injection("inject-http").mutated(before)
    assert by_http["spec"]["containers"][0]["lifecycle"] == hook
    assert by_http["spec"].keys() == {"containers", "terminationGracePeriodSeconds"}


@pytest.mark.parametrize("version", ["1.34", "1.35"])
def test_documented_v1beta1_patch_is_valid_for_older_clusters(version: str, tmp_path: Path) -> None:
    documents = rendered("admissionregistration.k8s.io/v1beta1", tmp_path)
    assert [d["kind"] for d in documents] == [
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
    ]
    for document in documents:
        assert document["apiVersion"] == "admissionregistration.k8s.io/v1beta1"
        kubernetes_validate.validate(document, version, strict=True)


def test_kyverno_gets_the_same_policy(tmp_path: Path) -> None:
    (document,) = rendered("policies.kyverno.io", tmp_path)
    assert (document["apiVersion"], document["kind"]) == (
        "policies.kyverno.io/v1",
        "MutatingPolicy",
    )
    ours = injection("inject-http")
    spec = copy.deepcopy(document["spec"])
    assert spec.keys() <= KYVERNO_SPEC
    assert spec.pop("autogen") == {"podControllers": {"controllers": []}}
    selectors = {
        name: spec["matchConstraints"].pop(name) for name in ("namespaceSelector", "objectSelector")
    }
    assert selectors == ours.binding["spec"]["matchResources"]
    assert spec == ours.spec


def test_documented_defaults_match_the_policies() -> None:
    (row,) = re.findall(r"^\| `drainmon\.io/timeout` \| (\S+) \|", PAGE, re.MULTILINE)
    for component in ("inject", "inject-http"):
        (timeout,) = (v for v in injection(component).spec["variables"] if v["name"] == "timeout")
        assert timeout["expression"].endswith(f': "{row}"')
