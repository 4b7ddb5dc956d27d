"""A contract as Beam's row type, through coders and a runner."""

import datetime
from decimal import Decimal
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.coders import RowCoder, registry
from apache_beam.internal import pickler
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines.contract import Contract, Field
from beam_pipelines.contract.beam_rows import row_type
from beam_pipelines.errors import ContractError

VALUES: dict[str, tuple[pa.DataType, Any]] = {
    "text": (pa.string(), "grüße"),
    "flag": (pa.bool_(), True),
    "small": (pa.int32(), np.int32(-5)),
    "large": (pa.int64(), 2**62),
    "ratio": (pa.float64(), 0.1),
    "price": (pa.decimal128(12, 2), Decimal("-99.10")),
    "day": (pa.date32(), datetime.date(1969, 12, 31)),
    "at": (pa.timestamp("us", "UTC"), Timestamp(micros=-1)),
}
CONTRACT = Contract(
    "t",
    (
        *(Field(name, kind, required=True) for name, (kind, _) in VALUES.items()),
        *(Field(f"maybe_{name}", kind) for name, (kind, _) in VALUES.items()),
    ),
)


def row(*, full: bool) -> beam.Row:
    values = {name: value for name, (_, value) in VALUES.items()}
    return beam.Row(**values, **{f"maybe_{name}": value if full else None for name, value in values.items()})


def as_dict(element: Any) -> dict[str, Any]:
    return {name: getattr(element, name) for name in CONTRACT.names}


@pytest.mark.parametrize("full", [True, False])
def test_every_type_survives_the_coder(full: bool) -> None:
    coder = registry.get_coder(row_type(CONTRACT))
    assert isinstance(coder, RowCoder)
    back = coder.decode(coder.encode(row(full=full)))
    assert as_dict(back) == as_dict(row(full=full))
    assert isinstance(back.price, Decimal)


def test_the_type_can_be_pickled() -> None:
    again = pickler.loads(pickler.dumps(row_type(CONTRACT)))
    coder = registry.get_coder(again)
    assert as_dict(coder.decode(coder.encode(row(full=True)))) == as_dict(row(full=True))


def test_rows_have_a_schema_in_a_pipeline() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = (
            pipeline
            | beam.Create([True, False, True])
            | beam.Map(lambda full: row(full=full)).with_output_types(row_type(CONTRACT))
        )
        totals = rows | beam.GroupBy("day", "flag").aggregate_field("price", sum, "total")
        assert_that(
            rows | beam.Reshuffle() | beam.Map(as_dict), equal_to([as_dict(row(full=full)) for full in (1, 0, 1)])
        )
        assert_that(totals | beam.Map(lambda each: each.total), equal_to([Decimal("-297.30")]), label="totals")


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        (Field("a", pa.decimal128(38, 2)), r"is decimal128\(38, 2\); Beam's rows keep 28 digits"),
        (Field("order id", pa.int64()), "field 'order id': a field of a Beam row is named like a Python variable"),
        (Field("class", pa.int64()), "named like a Python variable"),
        (Field("_a", pa.int64()), "doesn't start with '_'"),
        (Field("a", pa.list_(pa.int8())), "has no place in a Beam row"),
    ],
)
def test_what_a_beam_row_cannot_hold_is_an_error(field: Field, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        row_type(Contract("t", (field,)))
