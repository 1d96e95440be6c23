"""What kubectl renders is what Kubernetes takes, and what belongs together is the same."""

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.cluster.manifests import (
    EXAMPLES,
    FOLDER,
    RENDERED,
    ROOT,
    Manifest,
    capabilities,
    container,
    load,
    one,
    pod_spec,
    render,
    rendered_daemon,
)

KUBERNETES = ("1.30", "1.33", "1.37")
"""appArmorProfile came with 1.30."""

NOT_KUBERNETES = {"SecurityContextConstraints", "PodMonitor", "Kustomization"}
"""test_custom_kinds.py is about the first two, kubectl itself takes the third."""

SOCKET_FOLDER = "/run/drainmon"

KUBERNETES_EXAMPLES = [path for path in EXAMPLES if "apiVersion:" in path.read_text()]


@pytest.mark.parametrize("folder", RENDERED)
def test_kustomizations_keep_to_the_schema(folder: str) -> None:
    documents = render(FOLDER / folder)
    assert {"Namespace", "DaemonSet", "ConfigMap"} <= {d["kind"] for d in documents}
    validate(documents)
    assert one(documents, "ConfigMap")["data"]["DRAINMON_TAKE_OVER"] == "yes"


@pytest.mark.parametrize("path", KUBERNETES_EXAMPLES, ids=lambda path: path.stem)
def test_examples_keep_to_the_schema(path: Path) -> None:
    documents = load(path.read_text())
    assert documents
    validate(documents)


def validate(documents: list[Manifest]) -> None:
    for document in documents:
        if document["kind"] not in NOT_KUBERNETES:
            for version in KUBERNETES:
                kubernetes_validate.validate(document, version, strict=True)


def test_a_mistake_would_be_seen() -> None:
    (document, *_) = load(KUBERNETES_EXAMPLES[0].read_text())
    document["metadata"]["nome"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([document])


def test_openshift_allows_what_the_daemonset_asks_for() -> None:
    documents = render(FOLDER / "overlays/openshift")
    constraint = one(documents, "SecurityContextConstraints")
    spec = pod_spec(one(documents, "DaemonSet"))
    assert constraint["allowedCapabilities"] == capabilities(container(spec, "drainmon"))
    assert constraint["allowHostPID"] is spec["hostPID"] is True
    account = one(documents, "ServiceAccount")["metadata"]
    user = f"system:serviceaccount:{account['namespace']}:{account['name']}"
    assert constraint["users"] == [user]
    assert {"hostPath"} >= {kind for v in spec["volumes"] for kind in v if kind != "name"}


def test_the_rest_of_an_overlay_is_the_base() -> None:
    base = rendered_daemon("base")
    procfs = rendered_daemon("overlays/procfs")
    assert set(capabilities(base)) - set(capabilities(procfs)) == {"SYS_ADMIN"}
    assert base["volumeMounts"] == procfs["volumeMounts"]
    bcc = rendered_daemon("overlays/bcc")
    assert bcc["image"] == base["image"] + "-bcc"
    assert all(mount in bcc["volumeMounts"] for mount in base["volumeMounts"])


def test_the_image_is_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert rendered_daemon("base")["image"] == f"drainmon:{version}"


def with_component(name: str, folder: Path) -> list[Manifest]:
    """The base with a component, as a kustomization in `folder` asks for it."""
    shutil.copytree(FOLDER, folder / "daemonset")
    (folder / "kustomization.yaml").write_text(
        f"resources: [daemonset/base]\ncomponents: [daemonset/components/{name}]\n"
    )
    return render(folder)


def test_prometheus_finds_the_daemons_port(tmp_path: Path) -> None:
    documents = with_component("monitoring", tmp_path)
    validate(documents)
    monitor = one(documents, "PodMonitor")["spec"]
    daemonset = one(documents, "DaemonSet")["spec"]
    daemon = container(daemonset["template"]["spec"], "drainmon")
    labels = daemonset["template"]["metadata"]["labels"].items()
    assert monitor["selector"]["matchLabels"].items() <= labels
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in daemon["ports"]}
    (policy,) = (d for d in documents if d["metadata"]["name"] == "drainmon-monitoring")
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert policy["spec"]["ingress"][0]["ports"][0]["port"] == endpoint["port"]


def test_probes_ask_where_the_daemon_listens() -> None:
    documents = render(FOLDER / "base")
    daemon = container(pod_spec(one(documents, "DaemonSet")), "drainmon")
    (port,) = daemon["ports"]
    listen = one(documents, "ConfigMap")["data"]["DRAINMON_LISTEN"]
    assert listen.rpartition(":")[2] == str(port["containerPort"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert daemon[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}


def test_another_folder_than_run(tmp_path: Path) -> None:
    spec = pod_spec(one(with_component("noexec-run", tmp_path), "DaemonSet"))
    places = {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"]}
    assert places == {"run": "/var/lib/drainmon", "pod-logs": "/var/log/pods"}


def workloads() -> list[Any]:
    return [
        pytest.param(document, id=f"{path.stem}-{document['metadata']['name']}")
        for path in KUBERNETES_EXAMPLES
        for document in load(path.read_text())
        if "template" in document.get("spec", {})
    ]


@pytest.mark.parametrize("document", workloads())
def test_every_example_can_drain(document: Manifest) -> None:
    """A hook in time, in a folder that the pod cannot write to."""
    spec = pod_spec(document)
    hooked = [c for c in spec["containers"] if "preStop" in c.get("lifecycle", {})]
    assert hooked
    for one_container in hooked:
        command = one_container["lifecycle"]["preStop"]["exec"]["command"]
        if "--timeout" in command:
            timeout = command[command.index("--timeout") + 1]
            assert float(timeout.removesuffix("s")) + 5 <= spec["terminationGracePeriodSeconds"]
        (mount,) = (m for m in one_container["volumeMounts"] if m["mountPath"] == SOCKET_FOLDER)
        assert mount["readOnly"] is True
    rolling = document["spec"].get("strategy", {}).get("rollingUpdate", {})
    ports = [port for c in spec["containers"] for port in c.get("ports", ())]
    if not any("hostPort" in port for port in ports):
        assert rolling["maxUnavailable"] == 0


def test_images_are_pinned() -> None:
    for path in EXAMPLES:
        for image in re.findall(r"^\s*(?:- )?image: (\S+)", path.read_text(), re.MULTILINE):
            assert re.search(r":\d", image), f"{path.name}: {image}"
