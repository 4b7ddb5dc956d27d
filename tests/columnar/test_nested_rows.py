"""Nested values of rows in Python: what fits comes through, what doesn't fails by its path, as from JSON."""

import dataclasses
import json
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines import Contract, Field, ValidateRows
from beam_pipelines.columnar.rows import batch_of
from beam_pipelines.contract.beam_rows import row_type
from beam_pipelines.errors import ContractViolation
from tests.decode.test_json_nested import by_hand, fitting, made


def contract_of(field: Field, policy: Any = "discard_value") -> Contract:
    return Contract("t", (field,), on_schema_change=policy)


@settings(max_examples=60, deadline=None)
@given(made("field", 2).flatmap(lambda field: st.tuples(st.just(field), st.lists(fitting(field), max_size=4))))
def test_any_nested_value_comes_through_or_fails_as_by_hand(drawn: tuple[Field, list[Any]]) -> None:
    field, values = drawn
    wanted, paths = [], []
    for row, value in enumerate(values):
        wrong: list[str] = []
        wanted.append(by_hand(field, value, "field", wrong, pairs=True))
        paths += [(row, path) for path in wrong]
    batch = batch_of([{"field": value} for value in values], contract_of(field))
    assert batch.column("field").to_pylist() == wanted
    failed = batch.column("__failures").to_pylist() if "__failures" in batch.schema.names else []
    assert sorted((row, each["field"]) for row, found in enumerate(failed) for each in found or ()) == sorted(paths)


@dataclasses.dataclass
class Line:
    price: int


LINES = Field.array("lines", Field.object("item", [Field("price", pa.int64(), minimum=0)]))
TAGS = Field.map("tags", Field("key", pa.string()), Field("value", pa.int64()))


def test_objects_are_whatever_rows_are() -> None:
    batch = batch_of([{"lines": [Line(1), beam.Row(price=2), {"price": 3}, None]}], contract_of(LINES))
    assert batch.column("lines").to_pylist() == [[{"price": 1}, {"price": 2}, {"price": 3}, None]]
    batch = batch_of([{"tags": {"a": 1}}, {"tags": [("b", 2)]}, {"tags": {None: 1, "c": 3}}], contract_of(TAGS))
    assert batch.column("tags").to_pylist() == [[("a", 1)], [("b", 2)], [("c", 3)]]
    assert batch.column("__failures").to_pylist()[2][0]["field"] == "tags.key"


def test_unknown_fields_inside_go_as_the_contract_says() -> None:
    rows = [{"lines": [{"price": 1, "new": 2}]}]
    assert "__failures" not in batch_of(rows, contract_of(LINES)).schema.names
    [[failure]] = batch_of(rows, contract_of(LINES, "discard_row")).column("__failures").to_pylist()
    assert failure["field"] == "lines[0].new"
    [extra] = batch_of(rows, contract_of(LINES, "evolve")).column("_extra").to_pylist()
    assert json.loads(extra) == {"lines[0].new": 2}
    with pytest.raises(ContractViolation, match=r"unknown field 'lines\[0\].new'"):
        batch_of(rows, contract_of(LINES, "freeze"))


def test_nested_rows_are_validated_in_a_rowwise_job() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = pipeline | beam.Create([{"lines": [{"price": 1}]}, {"lines": [{"price": -1}]}])
        good, letters, _ = rows | ValidateRows(contract_of(LINES))
        assert_that(good, equal_to([{"lines": [{"price": 1}]}]), "good")
        fields = letters | beam.FlatMap(lambda batch: batch.column("field").to_pylist())
        assert_that(fields, equal_to(["lines[0].price"]), "bad")


def test_a_nested_contract_has_a_beam_row_type() -> None:
    assert "Sequence" in str(row_type(contract_of(LINES)))
    assert "Mapping" in str(row_type(contract_of(TAGS)))
