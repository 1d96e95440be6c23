"""JSON and HTTP as the daemon may send them, held against Python's own parser."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.client.library import Library

DEPTH = 16
"""Levels of nesting that json.c follows."""

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=6)
WORDS = b'{ } [ ] : , " \\ 0 -1.5e9 true null "a" \\u12 \xff result "result" "drained"'
TOKENS = [*WORDS.split(), b" ", b"\n"]
JSONISH = st.lists(st.sampled_from(TOKENS)).map(b"".join)


def printable(text: str) -> str:
    """What is left of a string that goes to a terminal."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


@given(value=OBJECTS, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_every_key_is_found_with_its_value(
    library: Library, value: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    # The walk is over the raw bytes, so that any of them may come in UTF-8.
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="surrogatepass")
    assert library.is_object(data)
    assert library.walk(data) == len(value)
    for key, expected in value.items():
        if key != printable(key) or "?" in key:
            continue  # such keys are compared only as what they print as
        found = library.find(data, key)
        assert found is not None
        assert json.loads(found.decode(errors="surrogatepass")) == expected


@given(data=JSONISH | st.binary())
@example(b'{"a":1}x')
@example(b'{"a":01}')
@example(b'{"a":1,}')
@example(b"{" * 1000)
@example(b'{"a":"\\')
@example(b'{"a":"\\u00')
@example(b'{"a":-}')
def test_only_what_python_accepts_is_an_object(library: Library, data: bytes) -> None:
    library.walk(data)
    library.find(data, "result")
    library.answer(data)
    if library.is_object(data):
        assert isinstance(json.loads(data.decode("latin-1")), dict)


def test_nesting_has_a_limit(library: Library) -> None:
    assert library.is_object(b'{"a":' * DEPTH + b"1" + b"}" * DEPTH) is False
    assert library.is_object(b'{"a":' * (DEPTH - 1) + b"1" + b"}" * (DEPTH - 1))


def test_only_the_top_level_counts(library: Library) -> None:
    data = rb'{"x":{"result":"no"},"y":"\"result\":\"no\"","re\u0073ult":1,"result":"last"}'
    assert library.find(data, "result") == b'"last"'
    assert library.find(data, "missing") is None
    assert library.find(b"[1,2]", "result") is None


@given(st.integers(0, (1 << 64) - 1) | st.floats(0, 1e15))
@example(1e-05)
@example(1.5e3)
def test_numbers_are_cut_to_what_is_asked_for(library: Library, number: float) -> None:
    data = json.dumps(number).encode()
    exact = int(number) if isinstance(number, int) else None
    count, millis = library.count(data), library.millis(data)
    assert count is not None
    assert millis is not None
    if exact is not None:
        assert count == exact
        assert millis == min(exact * 1000, (1 << 63) - 1)
    else:
        assert count == int(number)
        assert abs(millis - number * 1000) <= max(1, number * 1e-9)


@pytest.mark.parametrize("data", [b"-1", b"01", b"1.", b".5", b"1e", b"", b'"1"', b"null", b"1 "])
def test_what_is_no_number_of_connections(library: Library, data: bytes) -> None:
    assert library.count(data) is None


@pytest.mark.parametrize(
    ("data", "number"),
    [(b"1e30", (1 << 64) - 1), (b"1e-9999999999", 0), (b"9" * 500, (1 << 64) - 1), (b"0e99", 0),
     (b"0.0005E+4", 5), (b"18446744073709551615", (1 << 64) - 1)],
)  # fmt: skip
def test_extreme_numbers(library: Library, data: bytes, number: int) -> None:
    assert library.count(data) == number


@given(st.text())
def test_strings_are_made_safe_to_print(library: Library, text: str) -> None:
    data = json.dumps(text).encode()
    said = library.string(data)
    assert said is not None
    assert all(" " <= c <= "~" for c in said)
    if text.isascii():
        assert said == printable(text)


def test_an_answer(library: Library) -> None:
    data = (
        b'{"phase":"waiting","by_state":{"ESTABLISHED":2,"CLOSING":0,"FIN_WAIT1":1},"in_flight":3,'
        b'"remaining":[{"remote":"[fd77::2]:1","state":"FIN_WAIT1"},7,{}],"future":[1,{"a":null}]}'
    )
    assert library.answer(data) == (
        "none",
        ["waiting 3 ESTABLISHED=2 FIN_WAIT1=1", "[fd77::2]:1 FIN_WAIT1", "", " "],
    )
    assert library.answer(b'{"result":"gone"}') == ("gone", ["gone 0"])
    assert library.answer(b'{"phase":"settling","result":null}') == ("none", ["settling 0"])


LINES = st.lists(st.binary(max_size=40).filter(lambda line: not set(b"\r\n") & set(line)))


@given(lines=LINES, chunk=st.integers(1, 70), crlf=st.booleans())
def test_lines_do_not_depend_on_how_they_arrive(
    library: Library, lines: list[bytes], chunk: int, crlf: bool
) -> None:
    newline = b"\r\n" if crlf else b"\n"
    data = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n" + newline.join(lines)
    expected = [f"line {printable(line.decode('latin-1'))}" for line in lines if line]
    assert library.http(data, chunk).splitlines() == expected


@given(data=st.binary(), chunk=st.integers(1, 50), head=st.booleans())
def test_no_bytes_break_http(library: Library, data: bytes, chunk: int, head: bool) -> None:
    library.http(b"HTTP/1.0 200 \r\n\r\n" * head + data, chunk)


@pytest.mark.parametrize("chunk", [1000, 4096, 60_001])
def test_the_longest_line(library: Library, chunk: int) -> None:
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    fits = b"x" * (64 * 1024 - 1) + b"\n"
    assert library.http(head + fits + b"end\n", chunk).endswith("line end\n")
    assert library.http(head + b"x" + fits, chunk) == "garbage"


def test_a_refusal_is_the_whole_body(library: Library) -> None:
    data = b'HTTP/1.0 503 Busy\r\n\r\n{"error":\n"later"}'
    for chunk in (1, 7, 1000):
        assert library.http(data, chunk) == 'refused 503 {"error":?"later"}'
