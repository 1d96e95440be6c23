"""JSON and HTTP from the daemon, compared with Python's parser."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.client.library import Library

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
    """The printable form of a string, as the client writes it to a terminal."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


@given(value=OBJECTS, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_every_key_of_an_object_is_found_with_its_value(
    library: Library, value: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    # The walk is over raw bytes, so non-ASCII characters may come as UTF-8.
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="surrogatepass")
    assert library.is_object(data)
    assert library.walk(data) == len(value)
    for key, expected in value.items():
        if key != printable(key) or "?" in key:
            continue  # compared only in their printed form
        found = library.find(data, key)
        assert found is not None
        assert json.loads(found.decode(errors="surrogatepass")) == expected


@given(data=JSONISH | st.binary())
@example(b"{" * 1000)
@example(b'{"a":"\\')
@example(b'{"a":"\\u00')
def test_the_parser_never_reads_past_the_end(library: Library, data: bytes) -> None:
    library.is_object(data)
    library.walk(data)
    library.find(data, "result")
    library.millis(data)
    library.string(data)
    library.answer(data)


@given(value=OBJECTS, ascii_only=st.booleans(), data=st.data())
def test_a_truncated_line_is_no_object(
    library: Library, value: dict[str, Any], ascii_only: bool, data: st.DataObject
) -> None:
    line = json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert not library.is_object(line[: data.draw(st.integers(0, len(line) - 1))])


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"[]", b"x", b'{"a":1}x', b'{"a":1} {"a":1}', b'{"a":1,}', b'{"a":1 "b":2}',
     b'{,}', b'{"a"}', b'{"a":}', b'{"a" 1}', b'{a:1}', b'{"a":1]', b'{"a":"b}', b'{"a":"\\"}',
     b'{"a":[1}'],
)  # fmt: skip
def test_text_that_is_no_object_is_rejected(library: Library, data: bytes) -> None:
    assert not library.is_object(data)


def test_nesting_costs_no_stack(library: Library) -> None:
    data = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    assert library.is_object(data)
    assert not library.is_object(data[:-1])


def test_keys_are_found_at_the_top_level_only(library: Library) -> None:
    data = rb'{"x":{"result":"no"},"y":"\"result\":\"no\"","re\u0073ult":1,"result":"last"}'
    assert library.find(data, "result") == b'"last"'
    assert library.find(data, "missing") is None
    assert library.find(b"[1,2]", "result") is None


@given(st.integers(0, 1 << 52) | st.floats(0, 1e12).map(lambda number: round(number, 3)))
def test_times_are_read_as_the_daemon_writes_them(library: Library, seconds: float) -> None:
    millis = library.millis(json.dumps(seconds).encode())
    assert millis is not None
    assert abs(millis - seconds * 1000) <= max(1, seconds * 1e-9)


@pytest.mark.parametrize(
    ("data", "millis"), [(b"12.3456", 12345), (b"0.001", 1), (b"0.0009", 0), (b"7", 7000)]
)
def test_times_are_truncated_to_milliseconds(library: Library, data: bytes, millis: int) -> None:
    assert library.millis(data) == millis


@pytest.mark.parametrize("data", [b"-1", b".5", b"", b'"1"', b"null", b"1 ", b"9" * 500])
def test_values_that_are_not_times_are_rejected(library: Library, data: bytes) -> None:
    assert library.millis(data) is None


@pytest.mark.parametrize("number", ["-1", "1.5", '"1"', "null", "18446744073709551616"])
def test_values_that_are_not_counts_are_rejected(library: Library, number: str) -> None:
    assert library.answer(b'{"phase":"waiting","in_flight":%s}' % number.encode()) is None


@given(st.text())
def test_strings_are_printable_after_parsing(library: Library, text: str) -> None:
    data = json.dumps(text).encode()
    said = library.string(data)
    assert said is not None
    assert all(" " <= c <= "~" for c in said)
    if text.isascii():
        assert said == printable(text)


def test_progress_remaining_and_result_are_parsed(library: Library) -> None:
    data = (
        b'{"phase":"waiting","by_state":{"ESTABLISHED":2,"CLOSING":0,"FIN_WAIT1":1},"in_flight":3,'
        b'"remaining":[{"remote":"[fd77::2]:1","state":"FIN_WAIT1"},7,{}],"future":[1,{"a":null}]}'
    )
    assert library.answer(data) == (
        "none",
        ["waiting 3 (ESTABLISHED 2, FIN_WAIT1 1)", "[fd77::2]:1 FIN_WAIT1", "", " "],
    )
    assert library.answer(b'{"result":"gone"}') == ("gone", ["gone 0"])
    assert library.answer(b'{"phase":"settling","result":null}') == ("none", ["settling 0"])


LINES = st.lists(st.binary(max_size=40).filter(lambda line: not set(b"\r\n") & set(line)))


@given(lines=LINES, chunk=st.integers(1, 70), crlf=st.booleans())
def test_lines_are_the_same_however_the_bytes_arrive(
    library: Library, lines: list[bytes], chunk: int, crlf: bool
) -> None:
    newline = b"\r\n" if crlf else b"\n"
    data = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n" + newline.join(lines)
    expected = [f"line {printable(line.decode('latin-1'))}" for line in lines if line]
    assert library.http(data, chunk).splitlines() == expected


@given(data=st.binary(), chunk=st.integers(1, 50), head=st.booleans())
def test_arbitrary_bytes_do_not_crash_the_http_parser(
    library: Library, data: bytes, chunk: int, head: bool
) -> None:
    library.http(b"HTTP/1.0 200 \r\n\r\n" * head + data, chunk)


@pytest.mark.parametrize("chunk", [1000, 4096, 60_001])
def test_a_line_beyond_64_kib_is_garbage(library: Library, chunk: int) -> None:
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    fits = b"x" * (64 * 1024 - 1) + b"\n"
    assert library.http(head + fits + b"end\n", chunk).endswith("line end\n")
    assert library.http(head + b"x" + fits, chunk) == "garbage"


def test_an_error_response_is_read_whole(library: Library) -> None:
    data = b'HTTP/1.0 503 Busy\r\n\r\n{"error":\n"later"}'
    for chunk in (1, 7, 1000):
        assert library.http(data, chunk) == 'refused 503 {"error":?"later"}'
