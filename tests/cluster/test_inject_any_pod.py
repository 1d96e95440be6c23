"""Injected pods of every kind, with any annotations, can still be created, and the client can parse
their hook."""

import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drainmon.drain.duration import parse_duration
from tests.cluster.admission import injection
from tests.cluster.manifests import Manifest
from tests.cluster.pod_schema import refused
from tests.e2e.harness import CLIENT

OPTIONS = ("timeout", "min-wait", "quiet")
LONGEST_MILLIS = 2**31 - 1
"""The client's limit; see client/duration.c."""

lengths = st.one_of(
    st.from_regex(r"[0-9]{0,6}([.][0-9]{0,4})?(ms|s|m|h|)", fullmatch=True),
    st.sampled_from(
        ["9999m", "9999.999m", "9999999ms", "0s", "0.001s", "00s", "1m30s", "5s ", "-5s"]
    ),
    st.text(max_size=20),
)
mounts = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["data", "drainmon"]),
            "mountPath": st.sampled_from(
                ["/run", "/run/", "/run/drainmon", "/run/drainmon/", "/var/run", "/srv", "/run/x"]
            ),
        },
        optional={"readOnly": st.booleans()},
    ),
    max_size=3,
    unique_by=lambda mount: mount["mountPath"],
)
hooks = st.sampled_from([{}, {"preStop": {"sleep": {"seconds": 5}}}, {"stopSignal": "SIGQUIT"}])
image: Manifest = {"name": "drainmon", "image": {"reference": "client:1"}}
folder: Manifest = {"name": "drainmon", "emptyDir": {}}


@st.composite
def pods(draw: st.DrawFn) -> Manifest:
    containers: list[Manifest] = draw(
        st.lists(
            st.fixed_dictionaries(
                {"image": st.just("nginx:1.31")},
                optional={"lifecycle": hooks, "volumeMounts": mounts},
            ),
            min_size=1,
            max_size=4,
        )
    )
    used = {m["name"] for one in containers for m in one.get("volumeMounts", ())}
    named = [{"name": f"c{i}", **one} for i, one in enumerate(containers)]
    spec: Manifest = {"containers": named}
    own = draw(st.sampled_from([[], [image], [folder]])) or ([image] if "drainmon" in used else [])
    volumes = own + ([{"name": "data", "emptyDir": {}}] if "data" in used else [])
    if volumes:
        spec["volumes"] = volumes
    grace = draw(st.sampled_from([None, 0, 30, 3600]))
    if grace is not None:
        spec["terminationGracePeriodSeconds"] = grace
    spec |= draw(st.sampled_from([{}, {"hostNetwork": True}, {"hostUsers": True}]))
    annotations = draw(st.dictionaries(st.sampled_from(OPTIONS), lengths))
    metadata: Manifest = {"name": "web"}
    if annotations:
        metadata |= {"annotations": {f"drainmon.io/{name}": v for name, v in annotations.items()}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def new_hooks(before: Manifest, after: Manifest) -> list[dict[str, Any]]:
    pairs = zip(before["spec"]["containers"], after["spec"]["containers"], strict=True)
    return [
        new["lifecycle"]["preStop"]
        for old, new in pairs
        if "preStop" not in old.get("lifecycle", {}) and "preStop" in new.get("lifecycle", {})
    ]


def options(hook: Manifest) -> dict[str, str]:
    if "httpGet" in hook:
        assert hook["httpGet"].keys() == {"path", "port"}
        place, _, query = hook["httpGet"]["path"].partition("?")
        assert place == "/drain"
        return dict(pair.split("=") for pair in query.split("&"))
    program, *flags = hook["exec"]["command"]
    assert program == "/run/drainmon/drainmon-wait"
    return dict(flag.removeprefix("--").split("=") for flag in flags)


@pytest.mark.parametrize("component", ["inject", "inject-http"])
@settings(max_examples=150, deadline=None)
@given(pod=pods())
def test_any_injected_pod_is_valid_and_injected_once(component: str, pod: Manifest) -> None:
    made = injection(component).mutated(pod)
    assert refused(made) == []
    assert injection(component).mutated(made) == made
    found = new_hooks(pod, made)
    if not found:
        assert made == pod
    for hook in found:
        given_options = options(hook)
        assert {"timeout"} <= given_options.keys() <= set(OPTIONS)
        for name, value in given_options.items():
            assert parse_duration(value) * 1000 <= LONGEST_MILLIS
            assert (
                name == "timeout" or pod["metadata"]["annotations"][f"drainmon.io/{name}"] == value
            )
        timeout = parse_duration(given_options["timeout"])
        assert made["spec"].get("terminationGracePeriodSeconds", 30) >= timeout + 5


@pytest.mark.parametrize("component", ["inject", "inject-http"])
@given(value=lengths)
@settings(max_examples=150, deadline=None)
def test_bad_options_in_annotations_change_nothing(component: str, value: str) -> None:
    spec = {"containers": [{"name": "nginx", "image": "nginx:1.31"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}
    plain = injection(component).mutated(pod)
    pod["metadata"] = {"name": "web", "annotations": {"drainmon.io/timeout": value}}
    made = injection(component).mutated(pod)
    (hook,) = new_hooks(pod, made)
    if options(hook)["timeout"] != value:
        assert made["spec"] == plain["spec"]


@pytest.mark.parametrize(
    "value", ["9999m", "9999.999m", "9999999ms", "0.001s", "007s", "1.5m", "0s"]
)
def test_client_parses_every_option_that_the_policy_accepts(value: str) -> None:
    annotations = {f"drainmon.io/{name}": value for name in OPTIONS}
    spec = {"containers": [{"name": "nginx", "image": "nginx:1.31"}]}
    metadata = {"name": "web", "annotations": annotations}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    (hook,) = new_hooks(pod, injection("inject").mutated(pod))
    assert options(hook) == dict.fromkeys(OPTIONS, value)
    _, *flags = hook["exec"]["command"]
    # The client parses flags in order, and prints its version only if those before are valid.
    done = subprocess.run([CLIENT, *flags, "--version"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
