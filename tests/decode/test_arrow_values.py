"""Values of any Arrow type against what Python says of each of them."""

from __future__ import annotations

import datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.failures import Failed
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode.arrow_values import from_arrow
from beam_pipelines.decode.columns import decode_columns

UTC = datetime.timezone.utc
_WIDE = Context(prec=76)
MICROS = pa.timestamp("us", "UTC")


def convert(values: pa.Array, field: Field) -> tuple[list[Any], list[int]]:
    found: list[Failed] = []
    converted = from_arrow(values, field, found)
    assert converted.type == field.type
    converted.validate(full=True)
    return converted.to_pylist(), sorted({int(row) for each in found for row in each.rows})


INTEGERS = {
    "int8": st.integers(-128, 127),
    "uint8": st.integers(0, 255),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint64": st.integers(0, 2**64 - 1),
}
DECIMAL = pa.decimal128(12, 3)
NUMBERS = {
    **{name: (pa.type_for_alias(name), values) for name, values in INTEGERS.items()},
    "float64": (pa.float64(), st.floats() | st.integers(-(2**54), 2**54).map(float)),
    "float32": (pa.float32(), st.floats(width=32)),
    "decimal": (DECIMAL, st.decimals(-(10**8), 10**8, places=3) | st.integers(-999, 999).map(Decimal)),
    "wide": (pa.decimal256(50, 5), st.integers(-(10**30), 10**30).map(Decimal)),
}
TARGETS = [pa.int32(), pa.int64(), pa.float64(), pa.decimal128(7, 2), pa.decimal128(38, 10)]


def oracle(value: Any, source: pa.DataType, target: pa.DataType) -> Any:
    """What a value becomes; None where it doesn't fit."""
    if pa.types.is_floating(target):
        if isinstance(value, int):
            return float(value) if abs(value) <= 2**53 else None
        return float(value)
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if pa.types.is_integer(target):
        bits = target.bit_width - 1
        return int(value) if value == int(value) and -(2**bits) <= int(value) < 2**bits else None
    exact = Decimal(str(np.float32(value))) if pa.types.is_float32(source) else Decimal(str(value))
    scaled = Fraction(exact) * 10**target.scale
    fits = scaled.denominator == 1 and abs(scaled) < 10**target.precision
    return Decimal(int(scaled)).scaleb(-target.scale, _WIDE) if fits else None


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(sorted(NUMBERS)), st.sampled_from(TARGETS))
def test_numbers_become_numbers_where_nothing_is_lost(data: st.DataObject, name: str, target: pa.DataType) -> None:
    source, values = NUMBERS[name]
    given_values = data.draw(st.lists(st.none() | values, max_size=6))
    array = pa.array(given_values, source)
    converted, failed = convert(array, Field("n", target))
    expected = [None if value is None else oracle(value, source, target) for value in array.to_pylist()]
    assert [repr(value) for value in converted] == [repr(value) for value in expected]
    assert failed == [row for row, value in enumerate(expected) if value is None and given_values[row] is not None]


def test_texts_are_parsed_as_cells_and_bytes_as_texts() -> None:
    for kind in (pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string()), pa.string_view()):
        values = (
            pa.array(["1", "x", None]).cast(pa.string()).cast(kind)
            if not pa.types.is_dictionary(kind)
            else pa.array(["1", "x", None]).dictionary_encode()
        )
        assert convert(values, Field("n", pa.int64())) == ([1, None, None], [1])
        assert convert(values, Field("s", pa.string())) == (["1", "x", None], [])
    assert convert(pa.array([b"\xff", b"a"]), Field("s", pa.string())) == ([None, "a"], [0])


def test_a_string_column_that_is_no_utf8_fails_where_it_is_not() -> None:
    wrong = pa.array([b"a", b"\xe9", None]).view(pa.string())
    assert convert(wrong, Field("s", pa.string())) == (["a", None, None], [1])


def test_times_of_all_units() -> None:
    instant = datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    for unit, count in (("ns", -1), ("us", -1)):
        assert convert(pa.array([count, None], pa.timestamp(unit, "UTC")), Field("t", MICROS)) == ([instant, None], [])
    day = datetime.datetime(2024, 3, 1, 12, tzinfo=UTC)
    seconds = pa.array([int(day.timestamp())], pa.timestamp("s", "Europe/Berlin"))
    assert convert(seconds, Field("t", MICROS)) == ([day], [])
    assert convert(pa.array([2**62, 0], pa.timestamp("ms", "UTC")), Field("t", MICROS))[1] == [0]


def test_a_time_without_zone_needs_a_default() -> None:
    local = pa.array([datetime.datetime(2024, 7, 1, 12), datetime.datetime(2024, 10, 27, 2, 30)])
    assert convert(local, Field("t", MICROS)) == ([None, None], [0, 1])
    berlin = Field("t", MICROS, default_timezone="Europe/Berlin")
    assert convert(local, berlin) == ([datetime.datetime(2024, 7, 1, 10, tzinfo=UTC), None], [1])


@pytest.mark.parametrize(
    ("values", "target"),
    [
        (pa.array([1]), pa.string()),
        (pa.array([1]), pa.bool_()),
        (pa.array([True]), pa.int64()),
        (pa.array([datetime.date(2024, 1, 1)]), MICROS),
        (pa.array([0], pa.time64("us")), MICROS),
        (pa.array([[1]]), pa.int64()),
        (pa.array([{"a": 1}]), pa.string()),
        (pa.array([1]), pa.list_(pa.int64())),
        (pa.array([1]), pa.date32()),
    ],
)
def test_values_of_another_kind_fail_and_nulls_do_not(values: pa.Array, target: pa.DataType) -> None:
    both = pa.concat_arrays([values, pa.nulls(1, values.type)])
    assert convert(both, Field("x", target)) == ([None, None], [0])


def test_nested_values_are_found_by_name_and_fail_by_path() -> None:
    lines = Field.array(
        "lines",
        Field.object("item", [Field("price", pa.int32()), Field("note", pa.string(), physical_name="remark")]),
    )
    source = pa.array(
        [[{"remark": "a", "price": 1.0, "other": 1}, None], None, [], [{"remark": None, "price": 1.5, "other": 1}]],
        pa.list_(pa.struct([("remark", pa.large_string()), ("price", pa.float64()), ("other", pa.int8())])),
    )
    found: list[Failed] = []
    for place in (0, 1):  # a slice, too
        found.clear()
        converted = from_arrow(source.slice(place), lines, found)
        expected = [[{"price": 1, "note": "a"}, None], None, [], [{"price": None, "note": None}]]
        assert converted.to_pylist() == expected[place:]
        ((failed),) = found
        assert failed.rows.tolist() == [3 - place]
        assert failed.failures.field("field").to_pylist() == ["lines[].price"]
    scores = Field.map("scores", Field("key", pa.string()), Field("value", pa.int64()))
    source = pa.array([[("a", 1)], None, [("b", None), ("c", 3)]], pa.map_(pa.string(), pa.int8()))
    assert convert(source.slice(1), scores) == ([None, [("b", None), ("c", 3)]], [])


ORDERS = (Field("id", pa.int64(), required=True), Field("note", pa.string()))


def decoded(
    records: pa.StructArray, policy: str = "discard_value"
) -> tuple[dict[str, list[Any]], list[tuple[str, str | None]]]:
    columns, found = decode_columns(records, Contract("orders", ORDERS, on_schema_change=policy))  # type: ignore[arg-type]
    failures = [(row["rule"], row["field"]) for each in found for row in each.failures.to_pylist()]
    return {name: values.to_pylist() for name, values in columns.items()}, failures


ROWS = pa.StructArray.from_arrays(
    [pa.array(["x", None]), pa.array([1, 2], pa.int8()), pa.array(["n", "m"])], ["new", "id", "note"]
)


def test_columns_are_found_by_name_and_unknown_ones_go_as_the_contract_says() -> None:
    good = {"id": [1, 2], "note": ["n", "m"]}
    assert decoded(ROWS) == (good, [])
    assert decoded(ROWS, "discard_row") == (good, [("schema.unknown_field", "new")])
    assert decoded(ROWS, "evolve") == ({**good, "_extra": ['{"new":"x"}', None]}, [])
    with pytest.raises(Exception, match=r"unknown field 'new'.*onSchemaChange: freeze"):
        decoded(ROWS, "freeze")
    assert decoded(ROWS.slice(1), "freeze")[1] == []  # all null is absent


def test_a_lacking_column_is_null_and_fails_if_required() -> None:
    only = pa.StructArray.from_arrays([pa.array(["a"])], ["note"])
    assert decoded(only) == ({"id": [None], "note": ["a"]}, [("required", "id")])


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (["a", "b"], "schema.no_known_column"),
        (["id", "id"], "schema.duplicate_column"),
        (["ID", "note"], "schema.miswritten_column"),
    ],
)
def test_a_file_whose_columns_cannot_be_trusted_fails_in_all_rows(names: list[str], rule: str) -> None:
    records = pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names)
    assert decoded(records) == ({"id": [None, None], "note": [None, None]}, [(rule, None)] * 2)
