"""JSON texts of Arrow values, read back by Python's own decoder."""

from __future__ import annotations

import base64
import datetime
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.failures import failed, failures_column
from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.columnar.provenance import column_batch
from beam_pipelines.dead_letters import letters_of

TEXT = st.text(max_size=6) | st.sampled_from(['"', "\\", "\n\t\r", "\x00\x1f", "é日", ""])
KIND = pa.struct(
    [
        ("text", pa.string()),
        ("number", pa.int64()),
        ("ratio", pa.float64()),
        ("exact", pa.decimal128(30, 5)),
        ("flag", pa.bool_()),
        ("list", pa.list_(pa.string())),
        ("deep", pa.list_(pa.struct([("a", pa.int8()), ("b", pa.map_(pa.string(), pa.int64()))]))),
        ('odd "name"', pa.large_string()),
    ]
)
DEEP = st.fixed_dictionaries(
    {
        "a": st.none() | st.integers(-9, 9),
        "b": st.none() | st.lists(st.tuples(st.sampled_from("xy"), st.just(1)), max_size=1),
    }
)
ROW = st.fixed_dictionaries(
    {
        "text": st.none() | TEXT,
        "number": st.none() | st.integers(-(2**63), 2**63 - 1),
        "ratio": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "exact": st.none() | st.integers(-(10**25), 10**25).map(lambda n: Decimal(n).scaleb(-5)),
        "flag": st.none() | st.booleans(),
        "list": st.none() | st.lists(st.none() | TEXT, max_size=3),
        "deep": st.none() | st.lists(st.none() | DEEP, max_size=2),
        'odd "name"': st.none() | TEXT,
    }
)


def _as_json(value: Any) -> Any:
    """What a value of Arrow's is in JSON: maps are objects."""
    if isinstance(value, list):
        return dict(value) if value and isinstance(value[0], tuple) else [_as_json(each) for each in value]
    if isinstance(value, dict):
        return {name: _as_json(each) for name, each in value.items()}
    return value


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | ROW, max_size=6), st.integers(0, 3))
def test_texts_read_as_the_values_they_are_of(rows: list[dict[str, Any] | None], start: int) -> None:
    values = pa.array(rows, KIND).slice(start)
    texts = json_text(values).to_pylist()
    read = [json.loads(text, parse_float=lambda digits: digits) for text in texts]
    for row, found in zip(values.to_pylist(), read, strict=True):
        if row is None:
            assert found is None
            continue
        expected = _as_json(row)
        for name in ("text", "number", "flag", "list", 'odd "name"'):
            assert found[name] == expected[name]
        assert (found["ratio"] is None) == (row["ratio"] is None)
        assert row["ratio"] is None or float(found["ratio"]) == row["ratio"]
        assert row["exact"] is None or Decimal(str(found["exact"])) == row["exact"]
        # An empty map and an empty list look alike to Python.
        assert str(found["deep"]).replace("{}", "[]") == str(expected["deep"]).replace("{}", "[]")


def test_what_json_has_no_word_for() -> None:
    utc = datetime.timezone.utc
    values = {
        '"2024-03-01T00:00:00.000000Z"': pa.array([datetime.datetime(2024, 3, 1, tzinfo=utc)]),
        '"2024-03-01"': pa.array([datetime.date(2024, 3, 1)]),
        '"01:02:03.000000"': pa.array([datetime.time(1, 2, 3)]),
        '"NaN"': pa.array([float("nan")]),
        '"-Infinity"': pa.array([float("-inf")]),
        '"text"': pa.array([b"text"]),
        f'"{base64.b64encode(bytes([255])).decode()}"': pa.array([bytes([255])]),
        '"word"': pa.array(["word"]).dictionary_encode(),
        "null": pa.nulls(1),
        '{"1":true}': pa.array([[(1, True)]], pa.map_(pa.int64(), pa.bool_())),
    }
    for text, array in values.items():
        (found,) = json_text(array).to_pylist()
        assert found == text
        json.loads(found)


def test_a_refused_row_of_a_columnar_file_is_a_letter_of_its_json() -> None:
    rows = pa.StructArray.from_arrays([pa.array([1, 2]), pa.array(["a", None])], ["id", "note"])
    batch = column_batch(rows, "f.parquet", pa.array([7, 8]))
    why = failures_column([failed(np.array([0, 1]), "type", "id", "is wrong")], 2)
    (first, second) = letters_of(batch.append_column("__failures", why), transform="T").to_pylist()
    assert (first["payload"], first["record_format"], first["position"]) == (b'{"id":1,"note":"a"}', "jsonl", 7)
    assert second["payload"] == b'{"id":2,"note":null}'
