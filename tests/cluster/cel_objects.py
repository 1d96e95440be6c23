"""CEL as in MutatingAdmissionPolicy, for a CEL without Kubernetes' object literals.

`Object.spec.volumes{name: "x"}` becomes the map `{"": "Object.spec.volumes", "name": "x"}`. An
expression's result is read back by the API server's own rules about names and values.
"""

import re
from typing import Any

from tests.cluster.pod_schema import fields

_WORD = re.compile(r"""'[^']*'|"[^"]*"|[A-Za-z_][\w.]*|\s+|.""")
_TYPE = re.compile(r"Object(\.\w+)*|JSONPatch")
_CLOSED_BY = {"{": "}", "(": ")", "[": "]"}

JSON_PATCH = {"op", "path", "from", "value"}


def types_in(expression: str) -> set[str]:
    """The types of the expression's object literals."""
    return {name[:-1] for name in re.findall(r"\bObject[\w.]*\{", expression)}


def as_maps(expression: str) -> str:
    """The expression with its object literals as maps; it has no map literals."""
    written = ""
    opened: list[str] = []
    words: list[str] = _WORD.findall(expression)
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if _TYPE.fullmatch(word) and after == "{":
            continue
        if word == "{":
            written += f'{{"": "{before}"' + ("" if after == "}" else ", ")
        elif opened[-1:] == ["{"] and written.rstrip()[-1] in "{," and word.isidentifier():
            written += f'"{word}"'
        else:
            written += word
        if word in _CLOSED_BY:
            opened.append(word)
        elif opened and word == _CLOSED_BY[opened[-1]]:
            opened.pop()
    return written


def plain(value: Any, name: str | None = None) -> Any:
    """The value without the names of its types. Asserts that each type fits its place, with fields
    that Kubernetes has there."""
    if isinstance(value, list):
        return [plain(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    own = value[""]
    assert name in (None, own), f"{own} stands where {name} belongs"
    known = fields(own)
    for field in value.keys() - {""}:
        assert field in known, f"{own} has no {field}"
    return {f: plain(item, f"{own}.{f}") for f, item in value.items() if f}


def operations(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """JSON patches, as the API server makes them of the expression's value."""
    for value in values:
        assert value[""] == "JSONPatch"
        assert value.keys() - {""} <= JSON_PATCH
        # Its conversion to JSON takes an object, and lists within objects, but no list of objects.
        if isinstance(value["value"], list):
            assert not any(isinstance(item, dict) for item in value["value"])
    return [{field: plain(item) for field, item in value.items() if field} for value in values]


def added(document: Any, patches: list[dict[str, Any]]) -> Any:
    """Apply additions (RFC 6902) to the document, in place. Raises KeyError or IndexError where a
    parent is missing, as the API server refuses such a patch."""
    for patch in patches:
        assert patch["op"] == "add"
        *parents, last = patch["path"].removeprefix("/").split("/")
        place = document
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place[parent]
        if isinstance(place, list):
            assert last == "-"
            place.append(patch["value"])
        else:
            place[last] = patch["value"]
    return document
