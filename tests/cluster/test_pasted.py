"""Snippets to paste from README.md and docs/install.md: applied by kubectl to a Deployment without
drainmon, they are valid and give it the hooks of the examples."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.cluster.manifests import FOLDER, ROOT, Manifest, container, load, one, pod_spec, render
from tests.cluster.pod_schema import VERSIONS, refused

README, INSTALL = (ROOT / name for name in ("README.md", "docs/install.md"))

PLAIN = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: log, image: "busybox:1.37"}
        - name: nginx
          image: nginx:1.31
          volumeMounts: [{name: conf, mountPath: /etc/nginx/conf.d}]
      volumes:
        - {name: conf, configMap: {name: web}}
"""


def blocks(page: Path, title: str) -> list[str]:
    """The page's YAML whose first line is this comment."""
    found = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in found if block.startswith(f"# {title}")]


def ways(page: Path) -> dict[str, str]:
    """The page's patches, by the heading above each."""
    parts = re.split(r"^#{2,3} (.*)$", page.read_text(), flags=re.MULTILINE)
    found = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        if match := re.search(r"^```yaml\n(# drain\.yaml\n.*?)^```$", text, re.M | re.S):
            found[heading] = match[1]
    return found


WAYS = {
    "Image volume": "nginx-unprivileged.yaml",
    "The client in your image": "nginx-own-image.yaml",
    "The node's folder": "nginx.yaml",
    "curl": "nginx-curl.yaml",
    "preStop.httpGet": "nginx-http.yaml",
}
"""The ways in of docs/install.md, and the example of each."""


def patched(patch: str, folder: Path) -> Manifest:
    """The plain Deployment after `kubectl patch`."""
    (folder / "web.yaml").write_text(PLAIN)
    (folder / "drain.yaml").write_text(patch)
    kubectl = Path(sys.executable).with_name("kubectl")
    flags = ["--local", "--filename=web.yaml", "--patch-file=drain.yaml", "--output=yaml"]
    done = subprocess.run(
        [kubectl, "patch", *flags], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return one(load(done.stdout), "Deployment")


def example(name: str) -> Manifest:
    (found,) = (
        document
        for document in load((FOLDER / "examples" / name).read_text())
        if document["kind"] == "Deployment"
    )
    return found


def of_drainmon(document: Manifest) -> dict[str, Any]:
    """A Deployment's fields for the drain of its container nginx."""
    spec = pod_spec(document)
    nginx = container(spec, "nginx")
    return {
        "grace": spec["terminationGracePeriodSeconds"],
        "hook": nginx["lifecycle"]["preStop"],
        "mounts": [m for m in nginx.get("volumeMounts", ()) if m["name"] == "drainmon"],
        "volumes": [v for v in spec.get("volumes", ()) if v["name"] == "drainmon"],
    }


@pytest.mark.parametrize(("way", "file"), WAYS.items(), ids=WAYS)
def test_each_patch_matches_its_example(way: str, file: str, tmp_path: Path) -> None:
    document = patched(ways(INSTALL)[way], tmp_path)
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)
    template = document["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": template["spec"]}
    assert refused(pod) == []
    assert of_drainmon(document) == of_drainmon(example(file))
    # The Deployment's other fields are unchanged.
    (plain,) = load(PLAIN)
    log, nginx = (container(template["spec"], name) for name in ("log", "nginx"))
    assert log == container(pod_spec(plain), "log")
    assert {"name": "conf", "mountPath": "/etc/nginx/conf.d"} in nginx["volumeMounts"]
    assert pod_spec(plain)["volumes"][0] in template["spec"]["volumes"]


def test_every_way_in_has_its_patch() -> None:
    assert ways(INSTALL).keys() == WAYS.keys()


def test_readmes_hook_matches_install_md() -> None:
    (patch,) = (yaml.safe_load(text) for text in blocks(README, "drain.yaml"))
    assert patch == yaml.safe_load(ways(INSTALL)["Image volume"])


def test_readmes_curl_hook_matches_the_example() -> None:
    (hook,) = (yaml.safe_load(text) for text in blocks(README, "spec.template.spec.containers[0]"))
    nginx = container(pod_spec(example("nginx-curl.yaml")), "nginx")
    assert hook["lifecycle"] == nginx["lifecycle"]


@pytest.mark.parametrize(
    ("page", "number"), [(README, 0), (INSTALL, 0), (INSTALL, 1)], ids=["readme", "base", "http"]
)
def test_documented_kustomizations_render(page: Path, number: int, tmp_path: Path) -> None:
    (tmp_path / "drainmon").mkdir()
    shutil.copytree(FOLDER, tmp_path / "drainmon" / "daemonset")
    (tmp_path / "kustomization.yaml").write_text(blocks(page, "kustomization.yaml")[number])
    documents = render(tmp_path)
    for document in documents:
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)
    daemon = container(pod_spec(one(documents, "DaemonSet")), "drainmon")
    assert daemon["image"].startswith("registry.example.com/drainmon:")
    port = one(documents, "ConfigMap")["data"]["DRAINMON_IN_POD_PORT"]
    assert port == ("9936" if number else "off")
