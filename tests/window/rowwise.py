"""Windows and aggregates as plain Beam has them, row by row: what our results are compared with."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindows,
    IntervalWindow,
    Sessions,
    SlidingWindows,
    WindowFn,
)
from apache_beam.utils.timestamp import Timestamp

SCHEMA = pa.schema([("at", pa.timestamp("us", "UTC")), ("user", pa.string()), ("amount", pa.int64())])
AGGREGATES = "count(*) as n, sum(amount) as total, count(distinct amount) as amounts, max(amount) as top"

Row = tuple[datetime.datetime, str | None, int]
Result = tuple[datetime.datetime | None, datetime.datetime | None, str | None, int, int, int, int]

_START = datetime.datetime(2024, 3, 30, 21, tzinfo=datetime.timezone.utc)  # clocks change in Berlin that night


def random_rows(seed: int, rows: int, hours: int = 6) -> list[Row]:
    """Rows in no order, in milliseconds (plain Beam knows no finer windows), some at equal times or on the hour."""
    chance = random.Random(seed)
    found = []
    for _ in range(rows):
        milliseconds = chance.choice([chance.randrange(hours * 3_600_000), chance.randrange(hours * 12) * 300_000])
        at = _START + datetime.timedelta(milliseconds=milliseconds)
        found.append((at, chance.choice(["ann", "bob", None]), chance.randrange(-50, 50)))
    return found


def to_batch(rows: list[Row]) -> pa.RecordBatch:
    return (
        pa.RecordBatch.from_arrays(list(map(pa.array, zip(*rows, strict=True))), schema=SCHEMA)
        if rows
        else (pa.RecordBatch.from_pylist([], SCHEMA))
    )


def window_fn(window: str) -> WindowFn:
    """The same windows, each written by hand."""
    seconds = {"sliding:1h/5m": (3600, 300), "sliding:17m/7m": (1020, 420)}
    return {
        "none": GlobalWindows(),
        "fixed:10m": FixedWindows(600),
        "session:2m": Sessions(120),
        "calendar:day@Europe/Berlin": _BerlinDays(),
        **{name: SlidingWindows(*each) for name, each in seconds.items()},
    }[window]


class _BerlinDays(beam.transforms.window.NonMergingWindowFn):
    def assign(self, context: WindowFn.AssignContext) -> list[IntervalWindow]:
        zone = ZoneInfo("Europe/Berlin")
        day = context.timestamp.to_utc_datetime(has_tz=True).astimezone(zone).date()
        first, last = (
            datetime.datetime.combine(day + datetime.timedelta(days=days), datetime.time(), zone) for days in (0, 1)
        )
        return [IntervalWindow(Timestamp(first.timestamp()), Timestamp(last.timestamp()))]

    def get_window_coder(self) -> beam.coders.Coder:
        return beam.coders.coders.IntervalWindowCoder()


def aggregate(pipeline: beam.Pipeline, rows: list[Row], window: str) -> beam.PCollection[Result]:
    """Results of a plain pipeline over the rows."""
    return (
        pipeline
        | beam.Create(rows)
        | beam.Map(lambda row: beam.window.TimestampedValue((row[1], row[2]), row[0].timestamp()))
        | beam.WindowInto(window_fn(window))
        | beam.GroupByKey()
        | beam.ParDo(_Result())
        | "Together" >> beam.WindowInto(GlobalWindows())
    )


class _Result(beam.DoFn):
    def process(self, element: tuple[str | None, Any], window: Any = beam.DoFn.WindowParam) -> Iterator[Result]:
        user, amounts = element[0], list(element[1])
        bounds = (None, None)
        if isinstance(window, IntervalWindow):
            times = [bound.to_utc_datetime(has_tz=True) for bound in (window.start, window.end)]
            bounds = tuple(time.replace(tzinfo=datetime.timezone.utc) for time in times)
        yield (*bounds, user, len(amounts), sum(amounts), len(set(amounts)), max(amounts))
