"""Kubernetes' own schema of a pod, and the API server's rules beyond it."""

import json
from functools import cache
from importlib import resources
from typing import Any

import kubernetes_validate

from tests.cluster.manifests import Manifest

VERSIONS = ("1.36", "1.37")
"""Image volumes and MutatingAdmissionPolicy are stable since 1.36."""

POD = "io.k8s.api.core.v1.Pod"


@cache
def _definitions() -> dict[str, Any]:
    folder = f"kubernetes-json-schema/v{VERSIONS[0]}.0-local-strict"
    text = resources.files(kubernetes_validate).joinpath(folder, "_definitions.json").read_text()
    definitions: dict[str, Any] = json.loads(text)["$defs"]
    return definitions


def fields(path: str) -> set[str]:
    """The fields of `Object`, a pod, or of an object in it: `Object.spec.volumes.image`.

    Raises KeyError where there is no such object.
    """
    definition = _definitions()[POD]
    for name in path.split(".")[1:]:
        field = definition["properties"][name]
        reference = field.get("items", field)["$ref"]
        definition = _definitions()[reference.rpartition("/")[2]]
    return set(definition["properties"])


def refused(pod: Manifest) -> list[str]:
    """The reasons for which the API server would refuse the pod. Raises
    kubernetes_validate.ValidationError for violations of its schema."""
    for version in VERSIONS:
        kubernetes_validate.validate(pod, version, strict=True)
    volumes = [volume["name"] for volume in pod["spec"].get("volumes", ())]
    reasons = [f"two volumes {name}" for name in set(volumes) if volumes.count(name) > 1]
    for container in pod["spec"]["containers"]:
        name, mounts = container["name"], container.get("volumeMounts", ())
        paths = [mount["mountPath"] for mount in mounts]
        reasons += [f"{name}: two mounts at {path}" for path in set(paths) if paths.count(path) > 1]
        reasons += [f"{name}: no volume {m['name']}" for m in mounts if m["name"] not in volumes]
        handler = container.get("lifecycle", {}).get("preStop")
        if handler is not None and len(handler) != 1:
            reasons.append(f"{name}: a hook of {len(handler)} kinds")
    return reasons
