"""A contract built in Python is checked as one from a file is."""

import datetime
import math
from decimal import Decimal

import pyarrow as pa
import pytest

from beam_pipelines.columnar.provenance import EXTRA
from beam_pipelines.contract import Contract, Field, Mask
from beam_pipelines.contract.contract_checks import UNKNOWN_FIELDS
from beam_pipelines.errors import ContractError

UTC = datetime.timezone.utc
TIMESTAMP = pa.timestamp("us", "UTC")
DATE = pa.date32()
MONEY = pa.decimal128(10, 2)
WIDE = pa.decimal128(38, 10)
NOON = datetime.datetime(2024, 1, 1, 12, tzinfo=UTC)

CONFLICTS = {
    "minimum above maximum": (Field("a", pa.int64(), minimum=2, maximum=1), "minimum 2 is above maximum 1"),
    "open ends": (
        Field("a", pa.float64(), exclusive_minimum=1.0, maximum=1.0),
        "exclusive_minimum 1.0 and maximum 1.0: no value can pass",
    ),
    "no cent between": (
        Field("a", MONEY, exclusive_minimum=Decimal("1.01"), exclusive_maximum=Decimal("1.02")),
        "no value can pass",
    ),
    "no day between": (
        Field("a", DATE, exclusive_minimum=datetime.date(2024, 1, 1), exclusive_maximum=datetime.date(2024, 1, 2)),
        "no value can pass",
    ),
    "above the type": (Field("a", pa.int32(), exclusive_minimum=2**31 - 1), "the greatest value of its type"),
    "bound of a string": (Field("a", pa.string(), minimum="b"), "minimum is for numbers, dates and timestamps"),
    "bound of another type": (Field("a", pa.int64(), minimum=1.5), "minimum 1.5 is not a whole number"),
    "bool as a number": (Field("a", pa.int64(), minimum=True), "minimum true is not a whole number"),
    "float for a decimal": (Field("a", MONEY, minimum=1.5), "write it as an int or a Decimal"),
    "too many places": (Field("a", MONEY, minimum=Decimal("0.001")), "more decimal places than decimal128(10, 2)"),
    "too many digits": (Field("a", MONEY, maximum=Decimal("1e9")), "is not in the range of decimal128(10, 2)"),
    "places beyond reckoning": (Field("a", MONEY, minimum=Decimal("1e-99999999")), "more decimal places"),
    "38 digits and one": (
        Field("a", WIDE, minimum=Decimal("1234567890123456789012345678.12345678901")),
        "more decimal places than decimal128(38, 10)",
    ),
    "NaN": (Field("a", pa.float64(), minimum=math.nan), "is not finite"),
    "huge": (Field("a", pa.float64(), minimum=10**400), "is not finite"),
    "beyond the range": (Field("a", pa.int32(), enum=(2**31,)), "is not in the range of int32"),
    "naive timestamp": (Field("a", TIMESTAMP, minimum=datetime.datetime(2024, 1, 1)), "has no time zone"),
    "timestamp for a date": (Field("a", DATE, minimum=NOON), "is not a date"),
    "multiple of a string": (Field("a", pa.string(), multiple_of=2), "multiple_of is for numbers"),
    "multiple of nothing": (Field("a", pa.int64(), multiple_of=0), "multiple_of must be above 0"),
    "enum no multiple": (Field("a", pa.int64(), enum=(4, 5), multiple_of=2), "enum value 5 is no multiple of 2"),
    "empty enum": (Field("a", pa.int64(), enum=()), "enum lists no value"),
    "enum twice": (Field("a", pa.string(), enum=("x", "x")), "'x' is listed 2 times"),
    "enum of another type": (Field("a", pa.bool_(), enum=(1,)), "enum value 1 is not true or false"),
    "length of a number": (Field("a", pa.int64(), min_length=1), "min_length is for strings, not for int64"),
    "lengths": (Field("a", pa.string(), min_length=3, max_length=2), "min_length 3 is above max_length 2"),
    "pattern": (Field("a", pa.string(), pattern="(a)\\1"), "refers back to a group"),
    "pattern of a number": (Field("a", pa.int64(), pattern="a"), "pattern is for strings"),
    "format of a number": (Field("a", pa.int64(), date_format="yyyy-MM-dd"), "a date format is for dates"),
    "zone of a date": (Field("a", DATE, default_timezone="UTC"), "a time zone is for timestamps"),
    "unknown zone": (Field("a", TIMESTAMP, default_timezone="../etc"), "there is no time zone '../etc'"),
    "event time": (Field("a", pa.int64(), event_time=True), "the event time is a timestamp or a date"),
    "masked event time": (Field("a", TIMESTAMP, event_time=True, mask=Mask("redact")), "hides the event time"),
    "mask of another type": (Field("a", pa.bool_(), mask=Mask("keep_last", "2")), "is for strings, not for bool"),
    "float key": (Field("a", pa.float64(), primary_key_position=1), "can't be a primary key"),
    "float partition": (Field("a", pa.float64(), partition_position=1), "can't be a partition column"),
    "position 0": (Field("a", pa.int64(), primary_key_position=0), "count from 1, this is 0"),
    "null what is required": (Field("a", pa.int64(), required=True, on_failure="null"), "would null a field"),
    "null what is a key": (Field("a", pa.int64(), primary_key_position=1, on_failure="null"), "of the primary key"),
    "null what places a row in time": (Field("a", DATE, event_time=True, on_failure="null"), "as the event time"),
    "no such policy": (Field("a", pa.int64(), on_failure="ignore"), "'ignore' is not one of reject, null"),  # type: ignore[arg-type]
    "empty name": (Field(" ", pa.int64()), "the name is empty"),
    "reserved name": (Field("__a", pa.int64()), "reserved"),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_a_field_that_contradicts_itself_makes_no_contract(case: str) -> None:
    field, complaint = CONFLICTS[case]
    with pytest.raises(ContractError) as raised:
        Contract("c", (field, Field("fine", pa.string())))
    [finding] = raised.value.findings
    assert finding.startswith(f"field '{field.name}': ")
    assert complaint in finding


@pytest.mark.parametrize(
    "field",
    [
        Field("a", pa.int64(), minimum=1, exclusive_maximum=2),
        Field("a", pa.int64(), minimum=-(2**63), maximum=2**63 - 1),
        Field("a", pa.float64(), minimum=1, maximum=1.0),
        Field("a", pa.float64(), enum=(0.1, 0.3), multiple_of=0.1),
        Field("a", WIDE, maximum=Decimal("9999999999999999999999999999.9999999999")),
        Field("a", MONEY, minimum=1, enum=(Decimal("1.50"), 2)),
        Field("a", DATE, minimum=datetime.date(2024, 1, 1), maximum=datetime.date(2024, 1, 1)),
        Field("a", TIMESTAMP, minimum=NOON, default_timezone="Europe/Berlin", date_format="dd.MM.yy HH:mm"),
        Field("a", TIMESTAMP, date_format="dd.MM.yyyy HH:mm XXX", event_time=True),
        Field("a", pa.string(), enum=("ä", "bc"), min_length=1, max_length=2, pattern="^.{1,2}$"),
        Field("a", pa.binary()),
        Field("a", pa.list_(pa.int8())),
    ],
)
def test_a_field_that_does_not(field: Field) -> None:
    assert Contract("c", (field,)).fields == (field,)


def test_what_contradicts_itself_between_fields() -> None:
    with pytest.raises(ContractError) as raised:
        Contract(
            "c",
            (
                Field("a", DATE, event_time=True, partition_position=1),
                Field("b", DATE, event_time=True, partition_position=1),
                Field("b", pa.string(), physical_name="x"),
                Field("c", pa.string(), physical_name="x", partition_position=2),
                Field("x", pa.string()),
            ),
            deduplicate=True,
            on_schema_change="ignore",  # type: ignore[arg-type]
        )
    assert raised.value.findings == [
        "field 'b' is there 2 times",
        "position 1 of the partition columns is taken 2 times",
        "fields b, c, x are all read from 'x'",
        "more than one field is the event time: a, b",
        "deduplicate is set, but no field is a primaryKey",
        "on_schema_change 'ignore' is not one of evolve, freeze, discard_row, discard_value",
    ]


def test_something_has_to_be_left_to_write() -> None:
    for fields, complaint in (
        ((), "no fields"),
        ((Field("a", pa.string(), mask=Mask("drop")),), "every field is dropped"),
        (
            (Field("a", pa.string(), mask=Mask("drop")), Field("b", pa.string(), partition_position=1)),
            "every field is a partition column or dropped",
        ),
    ):
        with pytest.raises(ContractError, match=complaint):
            Contract("c", fields)


def test_the_column_of_unknown_fields_is_free() -> None:
    assert UNKNOWN_FIELDS == EXTRA
    field = Field(EXTRA, pa.string())
    assert Contract("c", (field,), on_schema_change="freeze").names == (EXTRA,)
    with pytest.raises(ContractError, match="rename the field"):
        Contract("c", (field,), on_schema_change="evolve")


def test_a_field_of_the_primary_key_is_required() -> None:
    assert Field("a", pa.int64(), primary_key_position=1).required
