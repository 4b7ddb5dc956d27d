"""Slices, sessions and calendars against what a reader would do row by row."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.window.calendar import UNITS, calendar_ends, calendar_starts
from beam_pipelines.window.sessions import STEP, find_sessions
from beam_pipelines.window.sliding import counts_in, slice_starts, window_starts_of

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@given(st.lists(st.integers(-50, 200), min_size=1), st.integers(1, 40), st.integers(1, 40))
def test_a_row_is_in_the_windows_of_its_slice_and_counted_in_one(times: list[int], size: int, period: int) -> None:
    size = max(size, period)
    slices = slice_starts(np.array(times), size, period)
    places, starts = window_starts_of(slices, size, period)
    windows = defaultdict(list)
    for place, start in zip(places.tolist(), starts.tolist(), strict=True):
        windows[place].append(start)
    for place, time in enumerate(times):
        assert sorted(windows[place]) == [s for s in range(-300, 300) if s % period == 0 and s <= time < s + size]
    counted = counts_in(slices[places], starts, period)
    assert np.bincount(places, weights=counted).tolist() == [1] * len(times)


def _sessions(rows: list[tuple[int, int]], gap: int) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for group in {group for group, _ in rows}:
        start = last = None
        for time in sorted(time for each, time in rows if each == group):
            if last is None or time - last >= gap:
                start = time
            last = found[group, time] = time if start is None else start
            last = time
    return found


ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(-60, 60)), min_size=1, max_size=40)


@given(ROWS, st.integers(1, 12))
def test_sessions_are_those_of_a_reader_who_sorts_the_rows(rows: list[tuple[int, int]], gap: int) -> None:
    groups, times = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    starts, _ = find_sessions(groups, times * STEP, gap * STEP)
    expected = _sessions(rows, gap)
    assert (starts // STEP).tolist() == [expected[row] for row in rows]


@given(ROWS, st.integers(1, 12), st.integers(1, 39))
def test_sessions_of_two_batches_are_found_from_their_points_alone(
    rows: list[tuple[int, int]], gap: int, cut: int
) -> None:
    points = set()
    for part in (rows[:cut], rows[cut:]):
        if part:
            groups, times = (np.array(column, np.int64) for column in zip(*part, strict=True))
            starts, chain = find_sessions(groups, times * STEP, gap * STEP)
            points |= {(group, start // STEP) for group, start in zip(groups.tolist(), starts.tolist(), strict=True)}
            points |= {part[place] for place in chain.tolist()}
            for group in set(groups.tolist()):  # at most two in each stretch of a gap
                per_stretch = np.bincount([(time + 60) // gap for each, time in points if each == group])
                assert per_stretch.max() <= 4
    assert set(_sessions(sorted(points), gap).values()) == set(_sessions(rows, gap).values())
    ends = defaultdict(int, _sessions(rows, gap))
    assert {row: start for row, start in ends.items() if row in points} == _sessions(sorted(points), gap)


def test_a_row_exactly_one_gap_later_starts_a_session_and_microseconds_do_not_count() -> None:
    times = np.array([0, 4 * STEP - 1, 8 * STEP, 12 * STEP + 999])
    starts, _ = find_sessions(np.zeros(4, np.int64), times, 5 * STEP)
    assert (starts // STEP).tolist() == [0, 0, 8, 8]
    starts, _ = find_sessions(np.zeros(4, np.int64), times, 4 * STEP)
    assert (starts // STEP).tolist() == [0, 0, 8, 12]


def _micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _local_dates(start: int, zone: str) -> date:
    return (EPOCH + timedelta(microseconds=start)).astimezone(ZoneInfo(zone)).date()


def _first_of(day: date, unit: str) -> date:
    if unit == "week":
        return date.fromordinal(day.toordinal() - day.weekday())
    month = {"day": day.month, "month": day.month, "quarter": day.month - (day.month - 1) % 3, "year": 1}[unit]
    return date(day.year, month, day.day if unit == "day" else 1)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc)),
    st.sampled_from(UNITS),
    st.sampled_from(
        ["Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Kathmandu", "Pacific/Apia", "Asia/Beirut", "UTC"]
    ),
)
def test_a_calendar_window_holds_the_times_whose_local_date_is_in_it(at: datetime, unit: str, zone: str) -> None:
    start = int(calendar_starts(np.array([_micros(at)]), unit, zone)[0])
    end = int(calendar_ends(np.array([start]), unit, zone)[0])
    assert start <= _micros(at) < end
    own = _first_of(at.astimezone(ZoneInfo(zone)).date(), unit)
    assert _first_of(_local_dates(start, zone), unit) == own
    assert _first_of(_local_dates(end - 1, zone), unit) == own
    assert _first_of(_local_dates(start - 1, zone), unit) < own
    assert _first_of(_local_dates(end, zone), unit) > own
    assert calendar_starts(np.array([end]), unit, zone).tolist() == [end]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2024-03-31", 23),
        ("Europe/Berlin", "2024-10-27", 25),
        ("Europe/Berlin", "2150-10-25", 25),  # beyond what zone files list
        ("America/Sao_Paulo", "2017-10-15", 23),  # has no midnight
        ("America/Havana", "2023-11-05", 25),  # has two
        ("Australia/Lord_Howe", "2024-04-07", 24.5),
        ("Pacific/Apia", "2011-12-29", 24),  # the 30th didn't happen there
    ],
)
def test_days_on_which_clocks_change_are_as_long_as_they_were(zone: str, day: str, hours: float) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)
    starts = calendar_starts(np.array([_micros(noon)]), "day", zone)
    assert (int(calendar_ends(starts, "day", zone)[0]) - int(starts[0])) / 3.6e9 == hours


def test_the_ends_of_the_calendar_have_windows_too() -> None:
    ends = [datetime(1, 1, 1, tzinfo=timezone.utc), datetime(9999, 12, 31, 23, tzinfo=timezone.utc)]
    times = np.array([_micros(at) for at in ends])
    for unit in UNITS:
        for zone in ("Pacific/Apia", "America/Los_Angeles", "UTC"):
            starts = calendar_starts(times, unit, zone)
            assert len(calendar_ends(starts, unit, zone)) == 2
