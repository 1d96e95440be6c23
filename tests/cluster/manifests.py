"""The manifests as kubectl renders them."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "daemonset"
EXAMPLES = sorted((FOLDER / "examples").glob("*.yaml"))
RENDERED = ("base", "overlays/bcc", "overlays/openshift", "overlays/procfs")

Manifest = dict[str, Any]


def load(text: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(text) if document]


@cache
def render(folder: Path) -> list[Manifest]:
    """The documents that `kubectl kustomize` makes of a folder."""
    kubectl = Path(sys.executable).with_name("kubectl")
    argv: list[str | Path] = [kubectl, "kustomize", folder]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # kubectl warns of deprecated fields
    return load(done.stdout)


def one(documents: list[Manifest], kind: str) -> Manifest:
    (found,) = (document for document in documents if document["kind"] == kind)
    return found


def pod_spec(document: Manifest) -> Manifest:
    spec: Manifest = document["spec"]["template"]["spec"]
    return spec


def container(spec: Manifest, name: str) -> Manifest:
    (found,) = (
        c for c in (*spec.get("initContainers", ()), *spec["containers"]) if c["name"] == name
    )
    return dict(found)


def capabilities(container: Manifest) -> list[str]:
    added: list[str] = container["securityContext"]["capabilities"].get("add", [])
    return added


def rendered_daemon(folder: str) -> Manifest:
    """The daemon's container in one of RENDERED."""
    return container(pod_spec(one(render(FOLDER / folder), "DaemonSet")), "drainmon")
