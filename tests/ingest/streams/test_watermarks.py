"""Watermarks: what they promise, for any order of rows in any partitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.streams.watermarks import ENDED, MICROS, NOBODY, WatermarkPolicy, Watermarks

S = MICROS


def test_the_watermark_is_the_latest_row_less_the_bound_of_the_partition_that_is_most_behind() -> None:
    seen = Watermarks(WatermarkPolicy(3, ahead=None), ["a", "b"])
    seen.saw("a", 100 * S, now=0)
    assert seen.watermark() is None
    seen.saw("b", 50 * S, now=0)
    assert seen.watermark() == 47 * S
    seen.saw("b", 20 * S, now=0)  # an earlier row doesn't take it back
    assert seen.watermark() == 47 * S
    assert seen.most_behind_first(["a", "b"]) == ["b", "a"]


def test_an_idle_partition_holds_the_watermark_until_the_server_said_for_long_that_nothing_waits() -> None:
    seen = Watermarks(WatermarkPolicy(2, idle_after=10), ["busy", "idle"])
    seen.saw("busy", 1000 * S, now=1000 * S)
    for now in (1000, 1005, 1009):
        seen.quiet("idle", now * S)
        assert seen.watermark() is None
    seen.quiet("idle", 1010 * S)
    assert seen.watermark() == 998 * S
    seen.unknown("idle")  # the broker can't be asked: nobody knows what waits
    assert seen.watermark() is None
    seen.quiet("idle", 1011 * S)
    assert seen.watermark() is None


def test_poison_neither_moves_the_watermark_nor_holds_it_for_ever() -> None:
    seen = Watermarks(WatermarkPolicy(2, idle_after=10), ["good", "bad"])
    seen.saw("good", 500 * S, now=1000 * S)
    seen.saw("bad", 400 * S, now=1000 * S)
    for now in (1001, 1005, 1010):
        seen.saw("bad", None, now * S)
        assert seen.watermark() == 398 * S
    seen.saw("bad", 401 * S, now=1011 * S)  # it has other rows too: it isn't idle
    seen.saw("bad", None, now=1012 * S)
    assert seen.watermark() == 399 * S
    seen.saw("bad", None, now=1022 * S)
    assert seen.watermark() == 498 * S


def test_when_all_are_idle_time_goes_on_by_the_clock_as_of_the_servers_last_word() -> None:
    seen = Watermarks(WatermarkPolicy(2, idle_after=10), ["a"])
    seen.saw("a", 100 * S, now=100 * S)
    seen.quiet("a", 200 * S)
    assert seen.watermark() == 98 * S
    seen.quiet("a", 300 * S)
    assert seen.watermark() == 298 * S
    seen.saw("a", 150 * S, now=301 * S)  # late, and no longer idle
    assert seen.of("a") == 148 * S


@pytest.mark.parametrize(("ahead", "expected"), [(0, 998), (60, 1058), (None, 9998)])
def test_a_clock_far_in_the_future_moves_it_to_the_bound_only(ahead: float | None, expected: int) -> None:
    seen = Watermarks(WatermarkPolicy(2, ahead=ahead), ["a"])
    seen.saw("a", 10_000 * S, now=1000 * S)
    assert seen.watermark() == expected * S


def test_a_reader_without_partitions_does_not_hold_up_the_others_for_ever() -> None:
    seen = Watermarks(WatermarkPolicy(2, idle_after=10))
    seen.quiet(NOBODY, 100 * S)
    assert seen.watermark() is None
    seen.quiet(NOBODY, 110 * S)
    assert seen.watermark() == 108 * S
    seen.add("new")
    assert seen.watermark() is None


def test_what_is_finished_holds_nothing_and_all_finished_is_the_end() -> None:
    seen = Watermarks(WatermarkPolicy(2, ahead=None), ["a", "b"])
    seen.saw("a", 100 * S, now=0)
    seen.finish("b")
    assert seen.watermark() == 98 * S
    seen.finish("a")
    assert seen.watermark() == ENDED


def test_what_is_known_survives_in_its_states() -> None:
    seen = Watermarks(WatermarkPolicy(2, idle_after=10), ["a", "b", "c"])
    seen.saw("a", 100 * S, now=100 * S)
    seen.quiet("b", 100 * S)
    seen.finish("c")
    again = Watermarks(WatermarkPolicy(2, idle_after=10), states=seen.states)
    assert again.of("a") == 98 * S
    assert again.of("c") == ENDED
    again.quiet("b", 110 * S)  # quiet for ten seconds, of which the first reader saw none
    assert again.watermark() == 98 * S


def test_rows_without_a_time_are_no_news_of_time() -> None:
    seen = Watermarks(WatermarkPolicy(2), ["a"])
    seen.saw("a", None, now=100 * S)
    assert seen.watermark() is None


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100)), min_size=1, max_size=60),
    st.integers(0, 20),
)
def test_no_row_within_the_bound_of_its_partition_is_ever_late(rows: list[tuple[str, int]], bound: int) -> None:
    seen = Watermarks(WatermarkPolicy(bound, ahead=None), "abc")
    latest = dict.fromkeys("abc", -1000)
    before = None
    for partition, time in rows:
        mark = seen.watermark()
        if time >= latest[partition] - bound and mark is not None:
            assert time * S >= mark
        assert before is None or (mark is not None and mark >= before)
        before = mark
        latest[partition] = max(latest[partition], time)
        seen.saw(partition, time * S, now=0)
    if min(latest.values()) >= 0:
        assert seen.watermark() == (min(latest.values()) - bound) * S


@pytest.mark.parametrize("name", ["out_of_orderness", "idle_after", "ahead"])
def test_a_bound_is_a_number_of_seconds(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: -1 is not a number of seconds"):
        WatermarkPolicy(**{name: -1})
