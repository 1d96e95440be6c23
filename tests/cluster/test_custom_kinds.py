"""Kinds that are not Kubernetes' own, compared with their definitions: the fields used here exist
with these types, and every required field is set.

Sources: prometheus-operator's monitoring.coreos.com_podmonitors.yaml (0.91), openshift/api's
security/v1/0000_03_security-openshift_01_scc.crd.yaml.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.manifests import FOLDER, Manifest, load

Shape = Any
"""A type, [the shape of each item], {field: shape}, or a set of the allowed strings."""

METADATA = {"name": str, "namespace": str, "labels": dict, "annotations": dict}
STRATEGY = {"type": {"MustRunAs", "MustRunAsRange", "MustRunAsNonRoot", "RunAsAny"}}
SHAPES: dict[str, Shape] = {
    "PodMonitor": {
        "apiVersion": {"monitoring.coreos.com/v1"},
        "kind": str,
        "metadata": METADATA,
        "spec": {
            "selector": {"matchLabels": dict},
            "podMetricsEndpoints": [
                {
                    "port": str,
                    "path": str,
                    "interval": str,
                    "honorLabels": bool,
                    "relabelings": [{"sourceLabels": [str], "targetLabel": str}],
                }
            ],
        },
    },
    "SecurityContextConstraints": {
        "apiVersion": {"security.openshift.io/v1"},
        "kind": str,
        "metadata": METADATA,
        "allowHostDirVolumePlugin": bool,
        "allowHostIPC": bool,
        "allowHostNetwork": bool,
        "allowHostPID": bool,
        "allowHostPorts": bool,
        "allowPrivilegeEscalation": bool,
        "allowPrivilegedContainer": bool,
        "allowedCapabilities": [str],
        "defaultAddCapabilities": [str],
        "fsGroup": STRATEGY,
        "groups": [str],
        "priority": int,
        "readOnlyRootFilesystem": bool,
        "requiredDropCapabilities": [str],
        "runAsUser": STRATEGY,
        "seLinuxContext": STRATEGY,
        "seccompProfiles": [str],
        "supplementalGroups": STRATEGY,
        "users": [str],
        "volumes": [{"configMap", "emptyDir", "hostPath"}],
    },
}
REQUIRED: dict[str, set[str]] = {
    "PodMonitor": {"spec", "spec.selector"},
    "SecurityContextConstraints": {
        "allowHostDirVolumePlugin", "allowHostIPC", "allowHostNetwork", "allowHostPID",
        "allowHostPorts", "allowPrivilegedContainer", "allowedCapabilities",
        "defaultAddCapabilities", "priority", "readOnlyRootFilesystem",
        "requiredDropCapabilities", "volumes",
    },
}  # fmt: skip


def custom(kind: str) -> Manifest:
    """The only manifest of this kind, unrendered."""
    written = [path for path in FOLDER.rglob("*.yaml") if f"\nkind: {kind}\n" in path.read_text()]
    (document,) = (d for path in written for d in load(path.read_text()) if d["kind"] == kind)
    return document


def misfits(value: Any, shape: Shape, where: str = "") -> Iterator[str]:
    """The differences from the definition."""
    match shape, value:
        case {}, dict():
            for field, inner in value.items():
                if field in shape:
                    yield from misfits(inner, shape[field], f"{where}.{field}".lstrip("."))
                else:
                    yield f"{where}.{field} is not known".lstrip(".")
        case [item], list():
            for inner in value:
                yield from misfits(inner, item, where)
        case set(), str() if value in shape:
            pass
        case type(), _ if type(value) is shape:
            pass
        case _:
            yield f"{where} is {value!r}"


def has(document: Manifest, path: str) -> bool:
    first, _, rest = path.partition(".")
    return first in document and (not rest or has(document[first], rest))


@pytest.mark.parametrize("kind", SHAPES)
def test_custom_kinds_match_their_definitions(kind: str) -> None:
    document = custom(kind)
    assert list(misfits(document, SHAPES[kind])) == []
    assert {path for path in REQUIRED[kind] if not has(document, path)} == set()


def test_mistakes_in_custom_kinds_are_found() -> None:
    document = custom("PodMonitor")
    document["apiVersion"] = "monitoring.coreos.com/v1beta1"
    document["spec"]["podMetricsEndpoints"][0] |= {"honourLabels": True, "interval": 15}
    assert list(misfits(document, SHAPES["PodMonitor"])) == [
        "apiVersion is 'monitoring.coreos.com/v1beta1'",
        "spec.podMetricsEndpoints.interval is 15",
        "spec.podMetricsEndpoints.honourLabels is not known",
    ]
