from __future__ import annotations

import datetime as dt
import random
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines.aggregate.funnel_transform import MeasureFunnel
from beam_pipelines.errors import ExpressionError, UsageError

SCHEMA = pa.schema(
    [("user", pa.string()), ("country", pa.string()), ("event", pa.string()), ("at", pa.timestamp("us", "UTC"))]
)
DAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
STEPS = {"viewed": "event = 'view'", "Put in cart": "event IN ('cart', 'wish')", "bought": "event = 'buy'"}


def visits(count: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {
            "user": draw.choice([None, *"abcdefghijkl"]),
            "country": draw.choice(["DE", "FR"]),
            "event": draw.choice(["view", "cart", "buy", "other", None]),
            "at": DAY + dt.timedelta(minutes=draw.randrange(2 * 24 * 60)),
        }
        for _ in range(count)
    ]


def walked(rows: list[dict[str, Any]], limit: dt.timedelta) -> int:
    """The steps of one user, by trying each start."""
    best = 0
    for start in (row["at"] for row in rows if row["event"] == "view"):
        time, reached = start, 1
        for step in ("cart", "buy"):
            later = [row["at"] for row in rows if row["event"] == step and time < row["at"] <= start + limit]
            if not later:
                break
            time, reached = min(later), reached + 1
        best = max(best, reached)
    return best


def expected(rows: list[dict[str, Any]], limit: dt.timedelta) -> list[dict[str, Any]]:
    found = []
    for day in (DAY, DAY + dt.timedelta(days=1)):
        for country in ("DE", "FR"):
            mine = [row for row in rows if row["country"] == country and 0 <= (row["at"] - day).days < 1]
            levels = [walked([row for row in mine if row["user"] == user], limit) for user in "abcdefghijkl"]
            counts = [sum(level >= step for level in levels) for step in (1, 2, 3)]
            rate = counts[2] / counts[0] if counts[0] else None
            window = {"window_start": day, "window_end": day + dt.timedelta(days=1), "country": country}
            found.append({**window, **dict(zip(STEPS, counts, strict=True)), "conversion": rate, "__rows": len(mine)})
    return found


def test_a_funnel_by_day_and_country_is_what_trying_every_way_finds() -> None:
    rows = visits(900, seed=5)
    wanted = expected(rows, dt.timedelta(hours=6))
    assert {row["bought"] > 0 and row["bought"] < row["viewed"] for row in wanted} == {True}
    batches = [pa.RecordBatch.from_pylist(rows[start : start + 70], SCHEMA) for start in range(0, len(rows), 70)]
    funnel = MeasureFunnel(
        SCHEMA, STEPS, user="user", within="6h", event_time="at", group_by=["country"], window="fixed:1d"
    )
    assert funnel.output_schema.names == ["window_start", "window_end", "country", *STEPS, "conversion"]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        panes, late, entries = pipeline | beam.Create(batches) | funnel
        assert_that(panes | beam.FlatMap(pa.RecordBatch.to_pylist), equal_to(wanted))
        assert_that(late, equal_to([]), "late")
        counted = entries | beam.Values() | beam.CombineGlobally(sum)
        assert_that(counted, equal_to([len(rows)]), "every row is counted once")


def test_without_groups_and_users_nobody_converts() -> None:
    batch = pa.RecordBatch.from_pylist([{"user": None, "event": "view", "at": DAY}], SCHEMA)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        panes = (
            pipeline | beam.Create([batch]) | MeasureFunnel(SCHEMA, STEPS, user="user", within="1h", event_time="at")
        ).panes
        nobody = {"window_start": None, "window_end": None, **dict.fromkeys(STEPS, 0), "conversion": None, "__rows": 1}
        assert_that(panes | beam.FlatMap(pa.RecordBatch.to_pylist), equal_to([nobody]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": {"one": "event = 'view'"}}, "two steps at least, not 1"),
        ({"steps": {"one": "event = 'view'", "Conversion": "true"}}, "'conversion' is the name of the result's own"),
        ({"steps": {"one": "event = 'view'", "two": "evnt = 'x'"}}, "no column 'evnt'. Did you mean 'event'"),
        ({"steps": {"one": "event", "two": "event = 'x'"}}, "funnel takes boolean values"),
        ({"steps": {"country": "event = 'view'", "b": "true"}}, "'country' is a column to group by"),
        ({"within": "soon"}, "the time limit: duration 'soon'"),
        ({"window": "session:30m"}, "a session is of one user"),
        ({"user": "usr"}, "no column 'usr'"),
        ({"user": ()}, "name the column that tells users apart"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:20],
)
def test_mistakes_are_told_where_the_pipeline_is_built(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"steps": STEPS, "user": "user", "within": "1h", "event_time": "at"} | changes
    with pytest.raises((UsageError, ExpressionError), match=message):
        MeasureFunnel(SCHEMA, group_by=["country"], **given)


def test_a_stream_is_refused_with_what_there_is_instead() -> None:
    pipeline = beam.Pipeline()
    stream = pipeline | test_stream.TestStream()
    with pytest.raises(UsageError, match=r"bounded input: in a stream, take the aggregate funnel\('30m', …\)"):
        stream | MeasureFunnel(SCHEMA, STEPS, user="user", within="1h", event_time="at")
