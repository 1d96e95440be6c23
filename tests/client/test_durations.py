"""Durations of flags: good forms, bad forms, and exact values."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.library import Library
from tests.client.run import run

NOT_A_DURATION = "is not a duration (try 25s, 500ms, 2m)"
BAD_DURATIONS = ["12x", "-1s", "", "s", ".5s", "5.", "1e3", " 5s", "5 s", "0x5", "99999999999s",
                 "9223372036854775808", "25days", "36000m", "2147484s"]  # fmt: skip


@pytest.mark.parametrize("value", BAD_DURATIONS)
@pytest.mark.parametrize("flag", ["--timeout", "--min-wait", "--quiet"])
def test_a_bad_duration_is_refused(client: Path, flag: str, value: str) -> None:
    ended = run(client, f"{flag}={value}")
    assert ended.status == 2
    assert ended.lines == [f"cannot read {flag}: '{value}' {NOT_A_DURATION}"]


@pytest.mark.parametrize(
    ("text", "millis"),
    [("25s", 25_000), ("1.5s", 1_500), ("500ms", 500), ("2m", 120_000), ("7", 7_000), ("0", 0),
     ("0.0009", 0), ("1.0009999999999999999999s", 1_000), ("0.5m", 30_000), ("1.9ms", 1),
     ("2147483.647s", 2_147_483_647), ("2147483.648s", None)],
)  # fmt: skip
def test_durations_are_parsed(library: Library, text: str, millis: int | None) -> None:
    assert library.duration(text) == millis


@given(number=st.decimals(0, 2_000_000, places=3), unit=st.sampled_from(["s", "", "ms"]))
def test_a_duration_is_not_rounded(library: Library, number: object, unit: str) -> None:
    scale = 1 if unit == "ms" else 1000
    assert library.duration(f"{number}{unit}") == int(float(str(number)) * scale + 1e-6)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_arbitrary_text_does_not_crash_the_duration_parser(library: Library, text: str) -> None:
    millis = library.duration(text)
    assert millis is None or 0 <= millis < 1 << 31
