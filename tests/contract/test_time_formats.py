"""Formats of dates and timestamps: what the contract lets pass, decoding can read."""

import itertools

import pytest

from beam_pipelines.contract.time_formats import read_time_format
from beam_pipelines.decode.date_format import compile_format


@pytest.mark.parametrize(
    ("pattern", "java", "zone", "time_of_day"),
    [
        ("yyyy-MM-dd", "yyyy-MM-dd", False, False),
        ("yyyy-MM-ddTHH:mm:ssZ", "yyyy-MM-dd'T'HH:mm:ssZ", True, True),
        ("yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm:ss'Z'", True, True),
        ("d MMM uuuu h:mm a", "d MMM uuuu h:mm a", False, True),
        ("yyyyMMdd[ HH[:mm]]", "yyyyMMdd[ HH[:mm]]", False, True),
        ("EEE, dd 'o''clock' MM yy", "EEE, dd 'o''clock' MM yy", False, False),
    ],
)
def test_what_a_format_says(pattern: str, java: str, zone: bool, time_of_day: bool) -> None:
    read = read_time_format(pattern)
    assert (read.pattern, read.has_zone, read.has_time_of_day) == (java, zone, time_of_day)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("YYYY-MM-dd", "the year is 'y'"),
        ("yyyy-MM-DD", "the day of the month is 'd'"),
        ("yyyy-MM", r"has no day \(d\)"),
        ("HH:mm", "has no year"),
        ("yyyy-MM-dd hh:mm", "'h' goes with 'a'"),
        ("yyyy-MM-dd HH:mm a", "'h' goes with 'a'"),
        ("yyyy-MM-dd HH hh a", "two kinds of hours"),
        ("yyyy-MM-dd 'at", "a quote is not closed"),
        ("yyyy-MM-dd [HH", r"a '\[' without its '\]'"),
        ("yyyy-MM-dd HH]", r"a '\]' without its '\['"),
        ("yyyy-MM-dd dd", "has the day twice"),
        ("yyy-MM-dd", "'yyy' can't be read; the year is one of y, yy, yyyy"),
        ("%Y-%m-%d", "the year is 'y'"),
        ("yyyy-MM-dd VV", "'VV' can't be read. Letters"),
    ],
)
def test_a_format_that_makes_no_date(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_time_format(pattern)


PIECES = ["yyyy", "yyy", "MM", "MMM", "MMMMM", "dd", "ddd", "HH", "hh", "a", "mm", "ss", "SSS", "X", "XXXX", "Z", "V"]
PIECES += ["'T'", "'", "[", "]", "Q", "-", "'Z'", "E"]


def test_decoding_takes_each_format_that_passes() -> None:
    suffixes = ["".join(each) for count in (0, 1, 2) for each in itertools.product(PIECES, repeat=count)]
    heads = ["yyyy-MM-dd", "dd/MM/yy HH:mm", "M/d/u h:mm a"]
    passed = 0
    for pattern in (head + suffix for head in heads for suffix in suffixes):
        try:
            read = read_time_format(pattern)
        except ValueError:
            continue
        passed += 1
        assert compile_format(read.pattern).utc is (read.ends_in_utc and "zone" not in read.parts)
    assert passed > 100
