"""The pods that daemonset/components/inject and inject-http make.

No API server runs here. Schemas are Kubernetes' own, CEL is cel-cpp's. tests/fixtures/inject has
each pod followed by the result of either component.
"""

import copy
import re
import shutil
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.cluster.admission import injection
from tests.cluster.cel_objects import operations, plain, types_in
from tests.cluster.manifests import FOLDER, ROOT, Manifest, one, render
from tests.cluster.pod_schema import VERSIONS, fields, refused

COMPONENTS = ("inject", "inject-http")
GOLDEN = sorted((ROOT / "tests/fixtures/inject").glob("*.yaml"))


def golden(path: Path, component: str) -> tuple[Manifest, Manifest]:
    pod, *after = yaml.safe_load_all(path.read_text())
    made = dict(zip(COMPONENTS, after, strict=True))[component]
    return pod, pod if made == "unchanged" else made


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_match_the_schema(component: str) -> None:
    documents = render(FOLDER / "components" / component)
    for document in documents:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
    policy = one(documents, "MutatingAdmissionPolicy")
    binding = one(documents, "MutatingAdmissionPolicyBinding")
    assert binding["spec"]["policyName"] == policy["metadata"]["name"] == f"drainmon-{component}"
    assert policy["spec"]["failurePolicy"] == "Ignore"


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_injected_pods_match_the_fixtures(path: Path, component: str) -> None:
    pod, expected = golden(path, component)
    made = injection(component).mutated(pod)
    assert made == expected
    assert refused(made) == []
    assert injection(component).mutated(made) == made


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_sidecar_that_comes_later_gets_the_same_hook(component: str) -> None:
    _, pod = golden(ROOT / "tests/fixtures/inject/plain.yaml", component)
    (first,) = pod["spec"]["containers"]
    late = copy.deepcopy(pod)
    late["spec"]["containers"].append({"name": "proxy", "image": "envoy:1"})
    made = injection(component).mutated(late)
    assert made["spec"]["containers"][0] == first
    assert made["spec"]["containers"][1]["lifecycle"] == first["lifecycle"]
    assert {**made["spec"], "containers": [first]} == pod["spec"]


@pytest.mark.parametrize("labels", [{}, {"drainmon.io/drain": "disabled"}, {"drain": "enabled"}])
@pytest.mark.parametrize("component", COMPONENTS)
def test_pods_of_other_namespaces_are_not_changed(component: str, labels: dict[str, str]) -> None:
    pod, _ = golden(ROOT / "tests/fixtures/inject/plain.yaml", component)
    assert injection(component).mutated(pod, {"kubernetes.io/metadata.name": "x", **labels}) == pod


@pytest.mark.parametrize("component", COMPONENTS)
def test_injected_fields_exist_in_a_pod(component: str) -> None:
    for mutation in injection(component).spec["mutations"]:
        expression = mutation["jsonPatch"]["expression"]
        assert types_in(expression)
        for name in types_in(expression):
            assert fields(name)


def test_a_wrong_field_or_value_is_found() -> None:
    with pytest.raises(AssertionError, match="has no mountpath"):
        plain({"": "Object.spec.containers.volumeMounts", "mountpath": "/run"})
    with pytest.raises(AssertionError, match="stands where"):
        plain({"": "Object.spec.volumes", "image": {"": "Object.spec.image"}})
    with pytest.raises(KeyError):
        plain({"": "Object.spec.container"})
    with pytest.raises(AssertionError):
        operations([{"": "JSONPatch", "path": "/spec/volumes", "value": [{"": "Object.spec"}]}])


def test_both_components_select_and_read_pods_alike() -> None:
    exec_hook, http_hook = (injection(component).spec for component in COMPONENTS)
    for field in ("failurePolicy", "reinvocationPolicy", "matchConstraints"):
        assert exec_hook[field] == http_hook[field]
    for group in ("variables", "matchConditions"):
        ours, theirs = (
            {v["name"]: v["expression"] for v in s[group]} for s in (exec_hook, http_hook)
        )
        differ = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}
        assert differ <= {"hooked"}  # a mount can be in the way, but not of a request


@pytest.mark.parametrize("component", COMPONENTS)
def test_regular_expressions_read_short_annotations_only(component: str) -> None:
    """An evaluation that costs too much is an error, and the pod gets no hook: annotations can have
    256 KiB."""
    guarded = 0
    for variable in injection(component).spec["variables"]:
        if ".matches(" in variable["expression"]:
            assert re.search(r"size\(.*\) < 16 &&\s.*\s*\.matches\(", variable["expression"])
            guarded += 1
    assert guarded == 1


@pytest.mark.parametrize("component", COMPONENTS)
def test_conditions_have_a_type_that_the_api_server_accepts(component: str) -> None:
    """cel-cpp gives `object.a.?b.orValue(true)` the type bool, the API server's CEL gives dyn,
    which is not a condition: the policy would silently match nothing."""
    for condition in injection(component).spec["matchConditions"]:
        assert not re.fullmatch(r"object[\w.?]*\.orValue\(\w+\)", condition["expression"])


def test_the_image_is_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (image,) = (v for v in injection("inject").spec["variables"] if v["name"] == "image")
    assert image["expression"] == f'"drainmon-client:{version}"'


def test_components_combine_with_the_base(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "daemonset")
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [daemonset/base]\ncomponents: [daemonset/components/inject]\n"
    )
    joined = render(tmp_path)
    alone = render(FOLDER / "components/inject")
    assert [document for document in joined if document in alone] == alone
    assert len(joined) == len(render(FOLDER / "base")) + 2
