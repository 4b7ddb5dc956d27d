import datetime as dt

import pyarrow as pa
import pytest
from apache_beam.transforms.window import FixedWindows, WindowFn
from apache_beam.utils.timestamp import Duration, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.window.assign import window_ends, window_starts
from beam_pipelines.window.spec import parse_window

TIME = pa.timestamp("us", "UTC")
SECOND = 1_000_000


def starts(micros: list[int | None], window: str) -> list[int | None]:
    found = window_starts(pa.array(micros, TIME), parse_window(window))
    assert found.type == TIME
    return found.cast(pa.int64()).to_pylist()


def test_a_row_at_the_boundary_belongs_to_the_window_that_starts_there():
    assert starts([0, 3600 * SECOND - 1, 3600 * SECOND], "fixed:1h") == [0, 0, 3600 * SECOND]


def test_times_before_1970_are_floored_not_cut():
    assert starts([-1, -3600 * SECOND, -3600 * SECOND - 1], "fixed:1h") == [
        -3600 * SECOND,
        -3600 * SECOND,
        -7200 * SECOND,
    ]


def test_a_day_is_86400_seconds_from_midnight_utc():
    moment = dt.datetime(2013, 6, 30, 23, 59, 59, tzinfo=dt.UTC)
    found = window_starts(pa.array([moment], TIME), parse_window("fixed:1d"))
    assert found.to_pylist() == [dt.datetime(2013, 6, 30, tzinfo=dt.UTC)]
    assert window_ends(found, parse_window("fixed:1d")).to_pylist() == [dt.datetime(2013, 7, 1, tzinfo=dt.UTC)]


def test_nulls_and_no_windows_have_null_bounds():
    assert starts([None, 5], "fixed:1s") == [None, 0]
    assert starts([5, None], "none") == [None, None]
    assert window_ends(pa.nulls(2, TIME), parse_window("none")).to_pylist() == [None, None]


def test_times_of_other_units_and_zones_are_the_same_instants():
    milli = pa.array([1500], pa.timestamp("ms", "Europe/Berlin"))
    assert window_starts(milli, parse_window("fixed:1s")).cast(pa.int64()).to_pylist() == [SECOND]


@given(
    st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=20),
    st.sampled_from(["1ms", "7s", "1m", "1h30m", "1d", "1w"]),
)
def test_windows_are_those_of_beam(micros, size):
    window = parse_window(f"fixed:{size}")
    beams = FixedWindows(Duration(micros=window.size_micros))
    expected = [beams.assign(WindowFn.AssignContext(Timestamp(micros=time)))[0] for time in micros]
    found = window_starts(pa.array(micros, TIME), window)
    assert found.cast(pa.int64()).to_pylist() == [each.start.micros for each in expected]
    assert window_ends(found, window).cast(pa.int64()).to_pylist() == [each.end.micros for each in expected]


@pytest.mark.parametrize("text", ["none", "fixed:1h", "fixed:1h30m", "fixed:1d"])
def test_a_window_reads_as_it_is_written(text):
    assert str(parse_window(text)) == text
    assert parse_window(parse_window(text)) == parse_window(text)
