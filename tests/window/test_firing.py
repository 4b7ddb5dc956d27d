"""Triggers as people write them, and what AggregateBatches says to those it can't have."""

from __future__ import annotations

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing import test_stream
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.aggregate.transform import AggregateBatches
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.errors import UsageError
from beam_pipelines.window.expiry import expiries, next_expiry
from beam_pipelines.window.firing import Firing, parse_firing
from beam_pipelines.window.spec import parse_window
from tests.window import rowwise


def test_a_trigger_is_read_and_written_back() -> None:
    firing = parse_firing(" after_watermark( early = 30s , late=100 ) ", "1h", "accumulating")
    assert firing == Firing(("time", 30_000_000), ("count", 100), 3_600_000_000, "accumulating")
    assert str(firing) == "after_watermark(early=30s, late=100)"
    assert parse_firing(str(firing), "1h", "accumulating") == firing
    assert parse_firing("after_watermark", "0s") == parse_firing("after_watermark()") == Firing()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (("hourly",), "write after_watermark"),
        (("after_watermark(sometimes=3)",), "'sometimes=3' is not early=… or late=…"),
        (("after_watermark(early=0)",), "0 partials"),
        (("after_watermark(early=10ms)",), "whole seconds only"),
        (("after_watermark(late=10)",), "need an allowed lateness"),
        (("after_watermark", "1month"), "allowed lateness: duration '1month'"),
        (("after_watermark", None, "retracting"), "'retracting' is not one of discarding, accumulating"),
    ],
)
def test_a_wrong_trigger_says_what_to_write(told: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_firing(*told)
    assert message in str(caught.value)


def test_calendar_windows_have_no_early_firings() -> None:
    pipeline = beam.Pipeline(runner="BundleBasedDirectRunner")
    stream = pipeline | test_stream.TestStream(coder=RecordBatchCoder()).with_output_types(pa.RecordBatch)
    daily = AggregateBatches(
        rowwise.SCHEMA,
        "count(*) as n",
        window="calendar:day@UTC",
        event_time="at",
        trigger="after_watermark(early=1)",
    )
    with pytest.raises(UsageError, match="calendar windows of a stream fire after the watermark"):
        stream | daily


@given(
    st.integers(0, 4 * 10**15),
    st.sampled_from(["fixed:10m", "sliding:1h/5m", "sliding:17m/7m", "calendar:month@Europe/Berlin"]),
    st.sampled_from([0, 3_600_000_000]),
)
def test_no_row_expires_between_an_expiry_and_the_next(at: int, text: str, lateness: int) -> None:
    window = parse_window(text)
    now = int(expiries(np.array([at]), window, lateness)[0])
    following = next_expiry(now, window, lateness)
    assert following is not None
    assert following > now
    between = expiries(np.linspace(at - 10**10, at + 10**10, 500).astype(np.int64), window, lateness)
    assert not ((between > now) & (between < following)).any()


def test_the_end_of_time_has_no_next_expiry() -> None:
    for text in ("fixed:10m", "session:1h", "calendar:year@Europe/Berlin"):
        assert next_expiry(253 * 10**15, parse_window(text), 0) is None
        assert next_expiry(0, parse_window(text), 0, skip=4**60) is None
