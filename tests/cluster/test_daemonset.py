"""The DaemonSet's settings for its own pods: a place on every node, few privileges, and a
replacement without a gap."""

from tests.cluster.manifests import FOLDER, Manifest, container, one, pod_spec, render

DAEMONSET = one(render(FOLDER / "base"), "DaemonSet")
SPEC = pod_spec(DAEMONSET)
CONTAINERS = {name: container(SPEC, name) for name in ("install-client", "drainmon")}


def security(name: str) -> Manifest:
    """A container's security context without its capabilities, see test_capabilities.py."""
    context: Manifest = CONTAINERS[name]["securityContext"]
    return {key: value for key, value in context.items() if key != "capabilities"}


def test_daemon_runs_on_every_linux_node_and_is_evicted_last() -> None:
    assert SPEC["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert SPEC["tolerations"] == [{"operator": "Exists"}]
    assert SPEC["priorityClassName"] == "system-node-critical"


def test_the_next_daemon_starts_before_the_old_one_ends() -> None:
    assert DAEMONSET["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0},
    }
    assert SPEC["terminationGracePeriodSeconds"] == 300


def test_daemon_sees_the_nodes_processes_and_nothing_of_the_cluster() -> None:
    assert SPEC["hostPID"] is True
    assert not {"hostNetwork", "hostIPC"} & SPEC.keys()
    assert SPEC["automountServiceAccountToken"] is False
    assert SPEC["enableServiceLinks"] is False


def test_containers_of_the_daemonset_have_few_privileges() -> None:
    common = {
        "runAsUser": 0,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert security("install-client") == {**common, "allowPrivilegeEscalation": False}
    assert security("drainmon") == {**common, "appArmorProfile": {"type": "Unconfined"}}
    for one_container in CONTAINERS.values():
        assert one_container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_daemon_requests_few_resources() -> None:
    """No CPU limit: throttling would delay the end of drains."""
    assert {name: one_container["resources"] for name, one_container in CONTAINERS.items()} == {
        "install-client": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"memory": "64Mi"},
        },
        "drainmon": {
            "requests": {"cpu": "10m", "memory": "48Mi"},
            "limits": {"memory": "256Mi"},
        },
    }


def test_probes_allow_a_minute_to_start_and_slow_answers() -> None:
    daemon = CONTAINERS["drainmon"]
    startup, liveness = daemon["startupProbe"], daemon["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 60
    assert startup["periodSeconds"] == 1  # a surge waits for the startup probe
    assert liveness["periodSeconds"] * liveness["failureThreshold"] == 60
    assert liveness["timeoutSeconds"] == 5
    readiness = daemon["readinessProbe"]
    assert (readiness["periodSeconds"], readiness["timeoutSeconds"]) == (10, 2)
