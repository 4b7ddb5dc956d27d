from __future__ import annotations

import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode.fixed_width import FixedWidthLayout, decode_fixed_width
from beam_pipelines.errors import UsageError

ORDERS = Contract(
    "orders",
    (
        Field("id", pa.int64(), required=True),
        Field("name", pa.string(), physical_name="NAME"),
        Field("day", pa.date32(), date_format="yyyyMMdd"),
        Field("price", pa.decimal128(7, 2)),
    ),
)
LAYOUT = FixedWidthLayout.parse("id:1-6, NAME:7-12, day:14-21, price:22-30")


def decode(
    *lines: bytes, layout: FixedWidthLayout = LAYOUT
) -> tuple[list[dict[str, object]], list[tuple[int, str, str | None]]]:
    columns, found = decode_fixed_width(pa.array(lines, pa.binary()), ORDERS, layout)
    failures = [
        (int(row), failure["rule"], failure["field"])
        for each in found
        for row, failure in zip(each.rows, each.failures.to_pylist(), strict=True)
    ]
    return pa.RecordBatch.from_pydict(columns).to_pylist(), failures


def test_fields_stand_at_their_places_and_padding_does_not_count() -> None:
    rows, failures = decode("000007 Zoë  x20240229    -1.50 ".encode(), b"     8")
    assert failures == []
    assert rows[0] | {"price": str(rows[0]["price"])} == {
        **{"id": 7, "name": " Zoë", "day": datetime.date(2024, 2, 29), "price": "-1.50"}
    }
    assert rows[1] == {"id": 8, "name": None, "day": None, "price": None}


def test_what_does_not_fit_the_layout_is_refused() -> None:
    rows, failures = decode(b"     1" + b" " * 24 + b"more", b"\xff", b"  oops", b"")
    assert failures == [(1, "fixed.invalid_utf8", None), (0, "fixed.too_long", None), (2, "type", "id")]
    assert [row["id"] for row in rows] == [None] * 4


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-99_999, 999_999), st.text("aé日 ", max_size=6)), max_size=5))
def test_what_is_written_at_its_place_is_read_back(values: list[tuple[int, str]]) -> None:
    lines = [f"{number:>6}{name:<6}".encode() for number, name in values]
    rows, failures = decode(*lines)
    assert failures == []
    assert [(row["id"], row["name"] or "") for row in rows] == [(number, name.rstrip(" ")) for number, name in values]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("id", "'id' is not NAME:FIRST-LAST, as in id:1-8,note:9-30"),
        ("id:0-3", "'id:0-3' is no place; the first character is 1"),
        ("id:5-3", "'id:5-3' is no place"),
        ("id:1-3,NAME:3-4", "'NAME:3-4' begins within the field before it"),
        ("id:1,id:2", "'id' is there twice"),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(layout: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"--fixed_width: {message}"):
        FixedWidthLayout.parse(layout)


def test_a_layout_has_to_be_the_contracts() -> None:
    with pytest.raises(UsageError, match=r"'name' is not a field of 'orders'\. There is: NAME"):
        decode(b"", layout=FixedWidthLayout.parse("name:1-2"))
    _, failures = decode(b"abc", layout=FixedWidthLayout.parse("NAME:1-3"))
    assert failures == [(0, "required", "id")]
