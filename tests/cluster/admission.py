"""A MutatingAdmissionPolicy and its binding, applied to pods by a real CEL."""

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from tests.cluster.cel_objects import added, as_maps, operations
from tests.cluster.manifests import FOLDER, Manifest, one, render

EXTENSIONS = [ext_optional.ExtOptional(), ext_strings.ExtStrings()]
RANGE = cel.FunctionDecl(
    "lists.range",  # of Kubernetes' CEL since 1.34
    [
        cel.Overload(
            "lists_range",
            cel.Type.List(cel.Type.INT),
            [cel.Type.INT],
            False,
            lambda size: list(range(size)),
        )
    ],
)


class Expressions:
    """The policy's expressions, compiled as by the API server: `object` has no type, variables have
    that of their own expression."""

    def __init__(self, spec: Manifest) -> None:
        self.types = {"object": cel.Type.DYN}
        self.variables: dict[str, Any] = {}
        for variable in spec["variables"]:
            compiled = self._compiled(variable["expression"])
            self.variables[variable["name"]] = compiled
            self.types[f"variables.{variable['name']}"] = compiled.return_type()
        self.conditions = {
            condition["name"]: self._compiled(condition["expression"], variables=False)
            for condition in spec["matchConditions"]
        }
        self.patches = [self._compiled(m["jsonPatch"]["expression"]) for m in spec["mutations"]]

    def _compiled(self, expression: str, *, variables: bool = True) -> Any:
        types = self.types if variables else {"object": cel.Type.DYN}
        environment = cel.NewEnv(variables=types, extensions=EXTENSIONS, functions=[RANGE])
        return environment.compile(as_maps(expression))

    def values(self, pod: Manifest) -> dict[str, Any]:
        """The variables for the evaluation of a patch."""
        values: dict[str, Any] = {"object": pod}
        for name, compiled in self.variables.items():
            values[f"variables.{name}"] = value(compiled, values)
        return values


def value(compiled: Any, data: Mapping[str, Any]) -> Any:
    """The value of a compiled expression. Raises ValueError where the evaluation fails."""
    result = compiled.eval(data=dict(data))
    if result.type() == cel.Type.ERROR:
        raise ValueError(result.value())
    return result.plain_value()


def selected(selector: Manifest, labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    for rule in selector.get("matchExpressions", ()):
        assert rule["operator"] == "NotIn"
        if labels.get(rule["key"]) in rule["values"]:
            return False
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


class Injection:
    """A component's changes to pods."""

    def __init__(self, documents: list[Manifest]) -> None:
        self.spec = one(documents, "MutatingAdmissionPolicy")["spec"]
        self.binding = one(documents, "MutatingAdmissionPolicyBinding")
        self.expressions = Expressions(self.spec)

    def matches(self, pod: Manifest, namespace: Mapping[str, str]) -> bool:
        """Whether a pod that is created in a namespace with these labels is changed at all."""
        resources = self.binding["spec"]["matchResources"]
        return (
            selected(resources["namespaceSelector"], namespace)
            and selected(resources["objectSelector"], pod["metadata"].get("labels", {}))
            and all(value(c, {"object": pod}) for c in self.expressions.conditions.values())
        )

    def mutated(self, pod: Manifest, namespace: Mapping[str, str] | None = None) -> Manifest:
        """The pod as stored by the API server."""
        pod = copy.deepcopy(pod)
        if not self.matches(pod, namespace or {"drainmon.io/drain": "enabled"}):
            return pod
        for patch in self.expressions.patches:
            added(pod, operations(value(patch, self.expressions.values(pod))))
        return pod


@cache
def injection(component: str, folder: Path = FOLDER) -> Injection:
    return Injection(render(folder / "components" / component))
