"""What the DaemonSet asks of Kubernetes for itself: a place on every node, little power, and its
replacement without a gap."""

from tests.cluster.manifests import FOLDER, Manifest, container, one, pod_spec, render

DAEMONSET = one(render(FOLDER / "base"), "DaemonSet")
SPEC = pod_spec(DAEMONSET)
CONTAINERS = {name: container(SPEC, name) for name in ("install-client", "drainmon")}


def security(name: str) -> Manifest:
    """A container's, capabilities left out: test_capabilities.py is about those."""
    context: Manifest = CONTAINERS[name]["securityContext"]
    return {key: value for key, value in context.items() if key != "capabilities"}


def test_it_runs_on_every_node_of_linux_and_is_the_last_to_go() -> None:
    assert SPEC["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert SPEC["tolerations"] == [{"operator": "Exists"}]
    assert SPEC["priorityClassName"] == "system-node-critical"


def test_a_node_has_the_next_daemon_before_the_old_one_ends() -> None:
    assert DAEMONSET["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0},
    }
    assert SPEC["terminationGracePeriodSeconds"] == 300


def test_it_sees_the_node_s_processes_and_nothing_of_the_cluster() -> None:
    assert SPEC["hostPID"] is True
    assert not {"hostNetwork", "hostIPC"} & SPEC.keys()
    assert SPEC["automountServiceAccountToken"] is False
    assert SPEC["enableServiceLinks"] is False


def test_its_containers_may_do_little() -> None:
    common = {
        "runAsUser": 0,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert security("install-client") == {**common, "allowPrivilegeEscalation": False}
    assert security("drainmon") == {**common, "appArmorProfile": {"type": "Unconfined"}}
    for one_container in CONTAINERS.values():
        assert one_container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_it_takes_little_of_a_node() -> None:
    """No limit of CPU: to be throttled is to release drains late."""
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


def test_it_has_a_minute_to_start_and_is_not_ended_for_a_slow_answer() -> None:
    daemon = CONTAINERS["drainmon"]
    startup, liveness = daemon["startupProbe"], daemon["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 60
    assert startup["periodSeconds"] == 1  # a surge waits for it
    assert liveness["periodSeconds"] * liveness["failureThreshold"] == 60
    assert liveness["timeoutSeconds"] == 5
    readiness = daemon["readinessProbe"]
    assert (readiness["periodSeconds"], readiness["timeoutSeconds"]) == (10, 2)
