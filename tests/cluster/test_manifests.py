"""Kubernetes accepts the rendered manifests, and settings that belong together match."""

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

IMAGE_VOLUMES = ("1.35", "1.37")
"""Versions in which they are on by default."""

NOT_KUBERNETES = {"SecurityContextConstraints", "PodMonitor", "Kustomization"}
"""See test_custom_kinds.py for the first two; kubectl itself validates the third."""

SOCKET_FOLDER = "/run/drainmon"

KUBERNETES_EXAMPLES = [path for path in EXAMPLES if "apiVersion:" in path.read_text()]


@pytest.mark.parametrize("folder", RENDERED)
def test_kustomizations_match_the_schema(folder: str) -> None:
    documents = render(FOLDER / folder)
    assert {"Namespace", "DaemonSet", "ConfigMap"} <= {d["kind"] for d in documents}
    validate(documents)
    assert one(documents, "ConfigMap")["data"]["DRAINMON_TAKE_OVER"] == "yes"


@pytest.mark.parametrize("path", KUBERNETES_EXAMPLES, ids=lambda path: path.stem)
def test_examples_match_the_schema(path: Path) -> None:
    documents = load(path.read_text())
    assert documents
    specs = [pod_spec(d) for d in documents if "template" in d.get("spec", {})]
    image_volumes = any("image" in v for spec in specs for v in spec.get("volumes", ()))
    validate(documents, IMAGE_VOLUMES if image_volumes else KUBERNETES)


def validate(documents: list[Manifest], versions: tuple[str, ...] = KUBERNETES) -> None:
    for document in documents:
        if document["kind"] not in NOT_KUBERNETES:
            for version in versions:
                kubernetes_validate.validate(document, version, strict=True)


def test_a_mistake_in_a_manifest_is_found() -> None:
    (document, *_) = load(KUBERNETES_EXAMPLES[0].read_text())
    document["metadata"]["nome"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([document])


def test_openshift_constraint_allows_the_daemonset() -> None:
    documents = render(FOLDER / "overlays/openshift")
    constraint = one(documents, "SecurityContextConstraints")
    spec = pod_spec(one(documents, "DaemonSet"))
    assert constraint["allowedCapabilities"] == capabilities(container(spec, "drainmon"))
    assert constraint["allowHostPID"] is spec["hostPID"] is True
    account = one(documents, "ServiceAccount")["metadata"]
    user = f"system:serviceaccount:{account['namespace']}:{account['name']}"
    assert constraint["users"] == [user]
    assert {"hostPath"} >= {kind for v in spec["volumes"] for kind in v if kind != "name"}


def test_overlays_differ_from_the_base_only_where_needed() -> None:
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
    """The base with a component, as a kustomization in `folder` combines them."""
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


def test_probes_use_the_daemons_port() -> None:
    documents = render(FOLDER / "base")
    daemon = container(pod_spec(one(documents, "DaemonSet")), "drainmon")
    (port,) = daemon["ports"]
    listen = one(documents, "ConfigMap")["data"]["DRAINMON_LISTEN"]
    assert listen.rpartition(":")[2] == str(port["containerPort"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert daemon[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}


def test_component_noexec_run_moves_the_folder(tmp_path: Path) -> None:
    spec = pod_spec(one(with_component("noexec-run", tmp_path), "DaemonSet"))
    places = {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"]}
    assert places == {"run": "/opt/drainmon", "pod-logs": "/var/log/pods"}


def workloads() -> list[Any]:
    return [
        pytest.param(document, id=f"{path.stem}-{document['metadata']['name']}")
        for path in KUBERNETES_EXAMPLES
        for document in load(path.read_text())
        if "template" in document.get("spec", {})
    ]


@pytest.mark.parametrize("document", workloads())
def test_every_example_can_drain(document: Manifest) -> None:
    """The hook fits into the grace period, and its client is where the pod cannot write."""
    spec = pod_spec(document)
    hooked = [c for c in spec["containers"] if "preStop" in c.get("lifecycle", {})]
    assert hooked
    for one_container in hooked:
        hook = one_container["lifecycle"]["preStop"]
        words = " ".join(hook["exec"]["command"]) if "exec" in hook else hook["httpGet"]["path"]
        if found := re.search(r"timeout[ =](\d+)s", words):
            assert int(found[1]) + 5 <= spec["terminationGracePeriodSeconds"]
        mounts = {mount["mountPath"]: mount for mount in one_container.get("volumeMounts", ())}
        assert (SOCKET_FOLDER in mounts) == (f"{SOCKET_FOLDER}/" in words)
        if SOCKET_FOLDER in mounts:
            assert mounts[SOCKET_FOLDER]["readOnly"] is True
    rolling = document["spec"].get("strategy", {}).get("rollingUpdate", {})
    ports = [port for c in spec["containers"] for port in c.get("ports", ())]
    if not any("hostPort" in port for port in ports):
        assert rolling["maxUnavailable"] == 0


def test_images_of_the_examples_are_pinned() -> None:
    for path in EXAMPLES:
        for image in re.findall(r"^\s*(?:- )?image: (\S+)", path.read_text(), re.MULTILINE):
            assert re.search(r":\d", image), f"{path.name}: {image}"


def test_the_clients_image_is_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    texts = [path.read_text() for path in (FOLDER / "examples").iterdir()]
    found = [tag for text in texts for tag in re.findall(r"/drainmon-client:(\S+)", text)]
    assert found == [version] * 2


def test_documented_setting_opens_the_pods_port(tmp_path: Path) -> None:
    text = (FOLDER / "examples" / "nginx-http.yaml").read_text()
    (said,) = re.findall(r"(#     configMapGenerator:.*?)#\n", text, re.DOTALL)
    shutil.copytree(FOLDER, tmp_path / "daemonset")
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [daemonset/base]\n" + said.replace("#     ", "")
    )
    documents = render(tmp_path)
    options, base = (one(d, "ConfigMap")["data"] for d in (documents, render(FOLDER / "base")))
    hook = container(pod_spec(load(text)[0]), "nginx")["lifecycle"]["preStop"]["httpGet"]
    assert options == {**base, "DRAINMON_IN_POD_PORT": str(hook["port"])}
