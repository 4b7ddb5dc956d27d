"""Texts as dates and timestamps, against Python's datetime and zoneinfo."""

import re
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.decode.date_format import compile_format
from beam_pipelines.decode.text_times import parse_dates, parse_timestamps

GRAMMAR = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d(:\d\d(:\d\d(\.(?P<fraction>\d{1,9}))?)?)?(?P<zone>Z|[+-]\d\d(:?[0-5]\d)?)?", re.ASCII
)
NEARLY_TIMES = st.from_regex(
    r"(19|20|00|99)[0-9]{2}-[01][0-9]-[0-3][0-9][T t]([0-2][0-9](:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,10})?)?)?)?"
    r"(Z|z|[+-][0-2][0-9](:?[0-6][0-9])?)?",
    fullmatch=True,
)
DATETIMES = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)).map(lambda at: at.isoformat(sep="T"))
TEXTS = st.one_of(NEARLY_TIMES, DATETIMES.map(lambda text: text + "Z"), DATETIMES, st.text(max_size=8))


def python_time(text, default=None):
    """What the documented grammar means, by Python's datetime; None when it is refused."""
    found = GRAMMAR.fullmatch(text)
    if found is None or (found["zone"] is None and default is None):
        return None
    plain = (
        text.replace(f".{found['fraction']}", f".{found['fraction'][:6].ljust(6, '0')}") if found["fraction"] else text
    )
    try:
        at = datetime.fromisoformat(plain)
        if at.tzinfo is None:
            zone = ZoneInfo(default)
            first, last = (at.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1))
            return first if first == last else None
        return at.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def agrees(texts, parsed, oracle):
    invalid = [False] * len(texts) if parsed.invalid is None else parsed.invalid.to_pylist()
    for text, value, wrong in zip(texts, parsed.values.to_pylist(), invalid, strict=True):
        expected = None if text is None else oracle(text)
        assert value == expected, text
        assert wrong == (text is not None and expected is None), text


@given(st.lists(st.none() | TEXTS, max_size=5))
def test_timestamps_with_a_zone_are_those_of_python(texts):
    agrees(texts, parse_timestamps(pa.array(texts, pa.string())), python_time)


@given(st.lists(st.none() | TEXTS, max_size=5), st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata"]))
def test_timestamps_without_a_zone_are_in_the_default_one(texts, zone):
    parsed = parse_timestamps(pa.array(texts, pa.string()), None, zone)
    agrees(texts, parsed, lambda text: python_time(text, zone))


@given(st.lists(st.none() | st.from_regex("[0-9]{4}-[01][0-9]-[0-3][0-9]", fullmatch=True) | TEXTS, max_size=5))
def test_dates_are_those_of_python(texts):
    def oracle(text):
        try:
            return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) else None
        except ValueError:
            return None

    agrees(texts, parse_dates(pa.array(texts, pa.string())), oracle)


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01T00:00:00",  # no zone
        "2024-01-01",  # no time of day
        "2024-01-01Z",
        "2023-02-29T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T23:59:60Z",
        "2024-01-01T00:00:00.0123456789Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",  # year 0 in UTC
        "9999-12-31T23:59:59-01:00",  # year 10000 in UTC
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00 Z",
        " 2024-01-01T00:00:00Z",
        "2024-01-01t00:00:00z",
        "20240101T000000Z",
        "2024-W01-1T00:00:00Z",
        "1704067200",
        "",
    ],
)
def test_what_is_no_timestamp(text):
    assert parse_timestamps(pa.array([text])).invalid.to_pylist() == [True]


def test_digits_beyond_microseconds_are_cut_off():
    parsed = parse_timestamps(pa.array(["1969-12-31T23:59:59.123456789Z", "2024-01-01T00:00:00.9999999+00"]))
    assert parsed.invalid is None
    assert [at.microsecond for at in parsed.values.to_pylist()] == [123456, 999999]


def test_local_times_that_clocks_skip_or_show_twice_are_refused():
    texts = ["2024-03-31T02:30", "2024-10-27T02:30", "2024-10-27T02:30+01:00", "2024-10-27T03:00", "2024-10-27"]
    parsed = parse_timestamps(pa.array(texts), None, "Europe/Berlin")
    assert parsed.invalid.to_pylist() == [True, True, False, False, True]
    hour = datetime(2024, 10, 27, 1, tzinfo=timezone.utc)
    assert parsed.values.to_pylist()[2:4] == [hour + timedelta(minutes=30), hour + timedelta(hours=1)]


def test_a_long_column_with_few_wrong_timestamps_is_judged_text_by_text():
    texts = [f"2024-01-{day % 28 + 1:02}T10:00:00Z" for day in range(3000)]
    texts[600] = "2024-02-30T00:00:00Z"
    texts[2999] = "soon"
    parsed = parse_timestamps(pa.array(texts))
    assert [row for row, wrong in enumerate(parsed.invalid.to_pylist()) if wrong] == [600, 2999]
    agrees(texts, parsed, python_time)


@pytest.mark.parametrize(
    ("pattern", "text", "iso"),
    [
        ("dd/MM/yyyy", "31/01/2024", "2024-01-31"),
        ("d.M.yy", "1.2.24", "2024-02-01"),
        ("d.M.yy", "01.02.24", "2024-02-01"),
        ("yyyyMMdd", "20240131", "2024-01-31"),
        ("MMM d, uuuu", "jan 5, 2024", "2024-01-05"),
        ("EEEE d MMMM yyyy", "Monday 29 February 2024", "2024-02-29"),
        ("dd/MM/yyyy", "31/02/2024", None),
        ("dd/MM/yyyy", "1/02/2024", None),
        ("dd/MM/yyyy", "31/01/2024 ", None),
        ("dd.MM.yyyy", "31x01x2024", None),
        ("yyyy-MM-dd", "2024-01-31\n", None),
    ],
)
def test_dates_of_a_pattern(pattern, text, iso):
    parsed = parse_dates(pa.array([text, None]), pattern)
    assert parsed.values.to_pylist() == [None if iso is None else date.fromisoformat(iso), None]
    assert (parsed.invalid is None) == (iso is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "iso"),
    [
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-31T10:00:00+01:00", "2024-01-31T09:00:00"),
        ("yyyy-MM-ddTHH:mm:ssX", "2024-01-31T10:00:00Z", "2024-01-31T10:00:00"),
        ("yyyy-MM-dd HH:mm:ss'Z'", "2024-01-31 10:00:00Z", "2024-01-31T10:00:00"),
        ("yyyy-MM-dd HH:mm:ss[.SSS]X", "2024-01-31 10:00:00.250-0130", "2024-01-31T11:30:00.250000"),
        ("yyyy-MM-dd HH:mm:ss[.SSS]X", "2024-01-31 10:00:00-0130", "2024-01-31T11:30:00"),
        ("dd/MMM/yyyy:HH:mm:ss Z", "31/Jan/2024:10:00:00 +0000", "2024-01-31T10:00:00"),
        ("M/d/yyyy h:mm a", "1/31/2024 12:05 AM", "2024-01-31T05:05:00"),
        ("M/d/yyyy h:mm a", "1/31/2024 12:05 pm", "2024-01-31T17:05:00"),
        ("M/d/yyyy h:mm a", "1/31/2024 13:05 PM", None),
        ("M/d/yyyy h:mm a", "1/31/2024 0:05 AM", None),
        ("yyyy-MM-dd", "2024-01-31", "2024-01-31T05:00:00"),
        ("yyyy-MM-dd HH:mm", "2024-03-10 02:30", None),  # skipped in New York
        ("yyyy-MM-dd H 'o''clock'", "2024-01-31 7 o'clock", "2024-01-31T12:00:00"),
        ("yyyy-MM-dd HH:mm:ss.SSSSSSSSS", "2024-01-31 00:00:00.123456789", "2024-01-31T05:00:00.123456"),
    ],
)
def test_timestamps_of_a_pattern_in_new_york_unless_they_have_a_zone(pattern, text, iso):
    parsed = parse_timestamps(pa.array([None, text]), pattern, "America/New_York")
    expected = None if iso is None else datetime.fromisoformat(iso + "+00:00")
    assert parsed.values.to_pylist() == [None, expected]
    assert (parsed.invalid is None) == (iso is not None)


def test_a_pattern_without_zone_and_default_makes_no_timestamp():
    assert parse_timestamps(pa.array(["2024-01-31 10:00"]), "yyyy-MM-dd HH:mm").invalid.to_pylist() == [True]


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)))
def test_a_pattern_reads_what_its_counterpart_in_python_writes(at):
    texts = pa.array([at.strftime("%d.%m.%y %I:%M:%S %p +0000")])
    parsed = parse_timestamps(texts, "dd.MM.yy hh:mm:ss a Z")
    assert parsed.values.to_pylist() == [at.replace(microsecond=0, tzinfo=timezone.utc)]


@pytest.mark.parametrize("pattern", ["YYYY-MM-dd", "yyyy-MM", "yyyy-MM-dd HH:mm:ss z", "yyyy-MM-dd 'T"])
def test_a_pattern_that_is_not_supported_says_so(pattern):
    with pytest.raises(ValueError, match=re.escape(pattern)):
        compile_format(pattern)


def test_the_offsets_of_the_standards_own_examples_are_read():
    texts = ["2024-03-10T14:22:35Z", "2024-03-11T01:22:35+11:00", "2024-03-11T01:22:35+1100", "2024-03-10T14:22:35"]
    parsed = parse_timestamps(pa.array(texts), "yyyy-MM-dd'T'HH:mm:ssZ")
    assert parsed.invalid.to_pylist() == [False, False, False, True]
    assert len(set(parsed.values.to_pylist()[:3])) == 1
