import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.errors import UsageError
from beam_pipelines.window.duration import format_duration, parse_duration

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("1h", 3600), ("1d", 86_400), ("1w", 604_800), ("1h30m", 5400), (" 1d12h ", 129_600)],
)
def test_a_duration_is_a_number_and_a_unit(text, seconds):
    assert parse_duration(text) == seconds * SECOND


def test_milliseconds_are_the_finest():
    assert parse_duration("1s500ms") == 1_500_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0s", "can't be zero"),
        ("0", "write a number and a unit"),
        ("-5m", "can't be negative"),
        ("60", "say the unit, as 60s or 60m"),
        ("1.5h", "write whole numbers, as 1h30m"),
        ("", "write a number and a unit"),
        ("h", "write a number and a unit"),
        ("1h 30m", "write a number and a unit"),
        ("1month", "a month has no fixed length; write it in days, as 30d"),
        ("2mo", "as 60d"),
        ("1y", "a year has no fixed length; write it in days, as 365d"),
        ("1quarter", "a quarter has no fixed length"),
        ("5M", "m is minutes"),
        ("5min", "write 5m"),
        ("2hours", "write 2h"),
        ("1H", "write 1h"),
        ("5parsecs", "no unit 'parsecs'; write a number and a unit"),
        ("30m1h", "from large to small"),
        ("1h1h", "each once"),
        ("1h30", "no unit ''"),
        ("99999w1d", "longer than 100 years"),
        ("99999999d", "longer than 100 years"),
    ],
)
def test_what_is_not_a_duration_says_what_to_write(text, reason):
    with pytest.raises(UsageError, match=reason):
        parse_duration(text)


@given(st.integers(1, 36_525 * 86_400_000))
def test_what_is_written_is_read_back(millis):
    assert parse_duration(format_duration(millis * 1000)) == millis * 1000
