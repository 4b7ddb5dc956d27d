"""What becomes of a row: value, key, id and time of its record."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from decimal import Decimal

import pyarrow as pa
import pytest

from beam_pipelines.columnar.provenance import raw_batch
from beam_pipelines.errors import UsageError
from beam_pipelines.sink.records import RecordPlan, check_plan, records_of

_AT = datetime(2024, 3, 30, 10, 30, 0, 250_000, tzinfo=timezone.utc)
_ROWS = pa.record_batch(
    {
        "id": [1, 2],
        "name": ['a "b"\n', None],
        "price": [Decimal("1.50"), None],
        "at": pa.array([_AT, None], pa.timestamp("us", "UTC")),
        "tags": [["x"], []],
        "window_start": pa.array([_AT, _AT], pa.timestamp("us", "UTC")),
        "__rows": [3, 4],
        "__pane_index": [0, 1],
    }
)


def test_a_value_is_the_rows_own_columns_as_json() -> None:
    first, second = (json.loads(value) for value in records_of(_ROWS, RecordPlan()).values.to_pylist())
    at = "2024-03-30T10:30:00.250000Z"
    assert first == {"id": 1, "name": 'a "b"\n', "price": 1.5, "at": at, "tags": ["x"], "window_start": at}
    assert second == {"id": 2, "name": None, "price": None, "at": None, "tags": [], "window_start": at}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ((), [None, None]),
        (("name",), [b'a "b"\n', None]),
        (("id",), [b"1", b"2"]),
        (("id", "name"), [b'[1,"a \\"b\\"\\n"]', b"[2,null]"]),
    ],
)
def test_a_key_is_text_or_json(key: tuple[str, ...], expected: list[bytes | None]) -> None:
    assert records_of(_ROWS, RecordPlan(key=key)).keys.to_pylist() == expected


def test_a_time_is_in_milliseconds_and_now_if_there_is_none() -> None:
    assert records_of(_ROWS, RecordPlan(time="at")).millis.to_pylist() == [1_711_794_600_250, 0]
    assert records_of(_ROWS, RecordPlan()).millis.to_pylist() == [0, 0]


def test_a_row_that_was_read_has_its_place_as_id() -> None:
    read = raw_batch(pa.array([b"1", b"2"]), "in.jsonl", pa.array([0, 7])).append_column("n", pa.array([1, 2]))
    assert records_of(read, RecordPlan()).ids.to_pylist() == ["in.jsonl/0", "in.jsonl/7"]
    topic = read.append_column("__partition", pa.array([3, None], pa.int32()))
    assert records_of(topic, RecordPlan()).ids.to_pylist() == ["in.jsonl/3/0", "in.jsonl/-/7"]


def test_a_pane_has_an_id_of_its_key_window_and_index() -> None:
    def ids(batch: pa.RecordBatch, **plan: tuple[str, ...]) -> list[str]:
        return records_of(batch, RecordPlan(**plan)).ids.to_pylist()

    before = ids(_ROWS, key=("name",))
    text = b'["a \\"b\\"\\n","2024-03-30T10:30:00.250000Z",0]'
    assert before[0] == hashlib.sha256(text).hexdigest()[:32]
    changed = _ROWS.set_column(0, "id", pa.array([9, 9]))
    assert ids(changed, key=("name",)) == before
    assert ids(changed.drop_columns(["__pane_index"]), key=("name",)) != before
    assert ids(_ROWS) != ids(changed)  # without a key: the value's
    assert len({*before, *ids(_ROWS, id=("id",)), *ids(_ROWS)}) == 6


def test_raw_values_are_what_was_read() -> None:
    headers = pa.array([[("a", b"1")], None], pa.map_(pa.string(), pa.binary()))
    read = raw_batch(pa.array([b"\xff", None]), "t", pa.array([0, 1]))
    read = read.append_column("__key", pa.array([b"k", None])).append_column("__attributes", headers)
    records = records_of(read, RecordPlan(value="raw"))
    assert records.values.to_pylist() == [b"\xff", None]
    assert records.keys.to_pylist() == [b"k", None]
    assert records.headers is not None
    assert records.headers.to_pylist() == [[("a", b"1")], None]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (RecordPlan(key=("nmae",)), "?key: there is no column 'nmae' to write. Did you mean 'name'?"),
        (RecordPlan(id=("x",)), "?id: there is no column 'x' to write."),
        (RecordPlan(time="id"), "?time: 'id' is no timestamp, but int64"),
        (RecordPlan(value="raw"), "these rows have none ('__payload')"),
    ],
    ids=["key", "id", "time", "raw"],
)
def test_a_plan_that_does_not_fit_is_refused(plan: RecordPlan, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_plan(plan, _ROWS.schema)
    assert message in str(caught.value)
