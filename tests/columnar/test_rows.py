from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.columnar.provenance import EXTRA, FAILURES, PAYLOAD
from beam_pipelines.columnar.row_values import column_of, python_values
from beam_pipelines.columnar.rows import batch_of, contract_of, dicts_of, payload_of
from beam_pipelines.contract.model import Contract, Field, Mask
from beam_pipelines.decode.text_values import from_text
from beam_pipelines.errors import ContractViolation

UTC = dt.timezone.utc
TIMESTAMP = pa.timestamp("us", "UTC")
MONEY = pa.decimal128(38, 4)

VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.text(max_size=20),
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    MONEY: st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(f"{n}E-4")),
    pa.date32(): st.dates(),
    TIMESTAMP: st.datetimes(timezones=st.just(UTC)),
}
EVERYTHING = contract_of(pa.schema([(str(kind), kind) for kind in VALUES]))
ROWS = st.lists(st.fixed_dictionaries({str(kind): st.none() | values for kind, values in VALUES.items()}), max_size=8)


@given(ROWS)
def test_rows_come_back_as_they_went_in(rows: list[dict[str, Any]]) -> None:
    batch = batch_of(rows, EVERYTHING)
    assert FAILURES not in batch.schema.names
    assert dicts_of(batch, EVERYTHING.names) == rows
    assert all(json.loads(payload) for payload in batch.column(PAYLOAD).to_pylist())


@given(st.lists(st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.timezones()), max_size=10))
def test_a_time_is_the_same_as_datetime_beam_timestamp_microseconds_or_text(times: list[dt.datetime]) -> None:
    micros = [(time - dt.datetime(1970, 1, 1, tzinfo=UTC)) // dt.timedelta(microseconds=1) for time in times]
    expected = pa.array(micros, pa.int64()).cast(TIMESTAMP)
    texts = [time.astimezone(UTC).isoformat().replace("+00:00", "Z") for time in times]
    offset = dt.timezone(dt.timedelta(hours=-11, minutes=-30))
    shifted = [time.astimezone(offset).isoformat() for time in times]
    for values in (times, micros, [Timestamp(micros=each) for each in micros], texts, shifted):
        column, failures = column_of(list(values), Field("at", TIMESTAMP))
        assert failures == {}
        assert column.equals(expected)
    assert [value.timestamp() for value in python_values(expected, "at")] == [time.timestamp() for time in times]


class Colour(str, enum.Enum):
    RED = "red"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


ODD: list[Any] = [
    None,
    True,
    0,
    -7,
    2**31,
    2**63,
    10**400,
    10**5000,
    1.0,
    1.5,
    0.1,
    1e300,
    math.nan,
    math.inf,
    Decimal("1.50"),
    Decimal("1.500000"),
    Decimal("1.23456789"),
    Decimal("NaN"),
    Decimal("-Infinity"),
    Decimal("1e999999999"),
    Decimal("1e-999999"),
    "",
    "5",
    "1.5",
    " 1.5",
    "1_0",
    "NaN",
    "\ud800",
    "true",
    "2024-01-31",
    "2024-02-30",
    "2024-01-31T10:00:00Z",
    "2024-01-31T10:00:00",
    "2024-01-31T10:00:00+02:00",
    "9999-12-31T23:59:59-05:00",
    b"bytes",
    dt.date(2024, 1, 31),
    dt.datetime(2024, 1, 31),
    dt.datetime(2024, 1, 31, tzinfo=UTC),
    dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))),
    dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
    dt.time(10),
    Timestamp(5),
    Timestamp(micros=2**62),
    np.int64(5),
    np.float64(1.5),
    np.str_("s3cret"),
    np.bool_(True),
    np.datetime64("2024-01-31T10:00:00"),
    pd.Timestamp("2024-01-31", tz="UTC"),
    pd.NaT,
    Colour.RED,
    Unprintable(),
    [1],
    {"a": 1},
    object(),
]


@given(st.lists(st.sampled_from(range(len(ODD))), min_size=1, max_size=6), st.sampled_from(list(VALUES)), st.booleans())
def test_what_becomes_of_a_value_does_not_depend_on_its_neighbours(
    places: list[int], kind: pa.DataType, sensitive: bool
) -> None:
    field = Field("f", kind, default_timezone=None, classification="secret" if sensitive else None)
    together, failures = column_of([ODD[place] for place in places], field)
    for row, place in enumerate(places):
        alone, wrong = column_of([ODD[place]], field)
        assert alone[0] == together[row]
        assert wrong.get(0) == failures.get(row)
        if sensitive and wrong:
            assert wrong[0]["value"] == "***"
            assert "s3cret" not in str(wrong[0]["message"])
    assert together.type == kind


TEXTS = st.one_of(
    st.from_regex(r"-?\d{0,4}\.?\d{0,6}([eE][+-]?\d)?", fullmatch=True, alphabet="0123456789.eE+-"),
    st.from_regex(r"(19|20)\d\d-[01]\d-[0-3]\d", fullmatch=True),
    st.from_regex(
        r"(0001|2024|9999)-(02|12|10)-(01|29|31|27)[T ][012]\d(:[0-6]\d(:[0-6]\d(\.\d{1,9})?)?)?"
        r"(Z|[+-][012]\d(:?[0-6]\d)?)?",
        fullmatch=True,
    ),
    st.text(alphabet="0123456789-+:.TZ tz", max_size=28),
    st.none(),
)


@given(
    st.lists(TEXTS, min_size=1, max_size=4),
    st.sampled_from([MONEY, pa.decimal128(6, 2), pa.date32(), TIMESTAMP]),
    st.sampled_from([None, "Europe/Berlin"]),
)
def test_a_text_means_the_same_as_in_a_file(texts: list[Any], kind: pa.DataType, zone: str | None) -> None:
    field = Field("f", kind, default_timezone=zone)
    parsed = from_text(pa.array(texts, pa.string()), field)
    column, failures = column_of(texts, field)
    assert column.to_pylist() == parsed.values.to_pylist()
    invalid = [False] * len(texts) if parsed.invalid is None else parsed.invalid.to_pylist()
    assert [place in failures for place in range(len(texts))] == invalid


FITS: list[tuple[Any, pa.DataType, Any]] = [
    (1, pa.float64(), 1.0),
    (2**53 + 1, pa.float64(), float(2**53)),
    (np.int64(5), pa.int32(), 5),
    (0.1, MONEY, Decimal("0.1000")),
    (12.34, pa.decimal128(6, 2), Decimal("12.34")),
    ("12.34", pa.decimal128(6, 2), Decimal("12.34")),
    ("1e3", pa.decimal128(6, 2), Decimal("1000.00")),
    (Decimal("1.500"), pa.decimal128(6, 2), Decimal("1.50")),
    (7, pa.decimal128(6, 2), Decimal("7.00")),
    ("2024-01-31", pa.date32(), dt.date(2024, 1, 31)),
    (pd.Timestamp("2024-01-31", tz="Europe/Berlin"), TIMESTAMP, dt.datetime(2024, 1, 30, 23, tzinfo=UTC)),
    (Colour.RED, pa.string(), "red"),
]


@pytest.mark.parametrize(("value", "kind", "expected"), FITS)
def test_a_value_that_fits_is_taken(value: Any, kind: pa.DataType, expected: Any) -> None:
    column, failures = column_of([value], Field("f", kind))
    assert failures == {}
    assert python_values(column, "f") == [expected]


WRONG: list[tuple[Any, pa.DataType, str]] = [
    (1.0, pa.int64(), "expected an integer (int64), got a float"),
    (True, pa.int64(), "expected an integer (int64), got a bool"),
    ("5", pa.int32(), "expected an integer (int32), got a str"),
    (2**31, pa.int32(), "the value does not fit int32"),
    (10**4000, pa.int64(), "the value does not fit int64"),
    (1, pa.bool_(), "expected a boolean, got an int"),
    (True, pa.float64(), "expected a number, got a bool"),
    (math.nan, pa.float64(), "NaN and Infinity are not numbers of a contract"),
    (np.float64("inf"), pa.float64(), "NaN and Infinity are not numbers of a contract"),
    (b"x", pa.string(), "expected a string, got a bytes"),
    (5, pa.string(), "expected a string, got an int"),
    ("\ud800", pa.string(), "the text has a lone surrogate, which UTF-8 can't hold"),
    (0.1 + 0.2, pa.decimal128(6, 2), "the value does not fit decimal128(6, 2)"),
    (Decimal("12345.00"), pa.decimal128(6, 2), "the value does not fit decimal128(6, 2)"),
    (Decimal("1e999999999"), MONEY, "the value has too many digits"),
    ("1_000", MONEY, "expected a number (decimal128(38, 4)), got a str"),
    (dt.datetime(2024, 1, 31), pa.date32(), "expected a date or its ISO 8601 text, got a datetime"),
    ("2024-02-30", pa.date32(), "expected a date or its ISO 8601 text, got a str"),
    ("31.01.2024", pa.date32(), "expected a date or its ISO 8601 text, got a str"),
    (dt.date(2024, 1, 31), TIMESTAMP, "expected a timestamp or its ISO 8601 text, got a date"),
    ("2024-01-31", TIMESTAMP, "expected a timestamp or its ISO 8601 text, got a str"),
    (dt.datetime(2024, 1, 31), TIMESTAMP, "the timestamp has no time zone, and the contract names no default one"),
    ("2024-01-31T10:00:00", TIMESTAMP, "the timestamp has no time zone, and the contract names no default one"),
    (2**62, TIMESTAMP, "the time is outside the years 1 to 9999"),
    (True, TIMESTAMP, "expected a timestamp or its ISO 8601 text, got a bool"),
]


@pytest.mark.parametrize(("value", "kind", "message"), WRONG)
def test_a_value_that_does_not_fit_is_a_failure(value: Any, kind: pa.DataType, message: str) -> None:
    column, failures = column_of([None, value], Field("f", kind))
    assert column.to_pylist() == [None, None]
    assert {place: (wrong["rule"], wrong["field"], wrong["message"]) for place, wrong in failures.items()} == {
        1: ("type", "f", message)
    }


def test_a_local_time_takes_the_default_zone_unless_clocks_skip_or_repeat_it() -> None:
    field = Field("at", TIMESTAMP, default_timezone="Europe/Berlin")
    times = [dt.datetime(2024, 7, 1, 12), "2024-01-01T12:00:00", dt.datetime(2024, 3, 31, 2, 30), "2024-10-27T02:30:00"]
    column, failures = column_of(times, field)
    berlin = [dt.datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")), dt.datetime(2024, 1, 1, 11, tzinfo=UTC)]
    assert column.to_pylist() == [*berlin, None, None]
    assert {wrong["message"] for wrong in failures.values()} == {
        "clocks in Europe/Berlin skip or repeat this local time"
    }
    assert sorted(failures) == [2, 3]


@dataclasses.dataclass
class Shop:
    id: int
    name: str


class Order(NamedTuple):
    id: int
    name: str


def test_rows_of_any_kind_may_be_mixed_and_what_is_no_row_fails_alone() -> None:
    contract = contract_of(pa.schema([("id", pa.int64()), ("name", pa.string())]))
    rows = [{"id": 1}, Order(2, "b"), Shop(3, "c"), beam.Row(id=4, name="d"), None, "id,name", {"id": "5", "name": 6}]
    batch = batch_of(rows, contract)
    assert batch.column("id").to_pylist() == [1, 2, 3, 4, None, None, None]
    assert batch.column("name").to_pylist() == [None, "b", "c", "d", None, None, None]
    failures = batch.column(FAILURES).to_pylist()
    assert failures[:4] == [None] * 4
    assert [(wrong[0]["field"], wrong[0]["message"]) for wrong in failures[4:6]] == [
        (None, "expected a dict, Beam Row, NamedTuple or dataclass, got a NoneType"),
        (None, "expected a dict, Beam Row, NamedTuple or dataclass, got a str"),
    ]
    assert [wrong["field"] for wrong in failures[6]] == ["id", "name"]
    assert batch.column(PAYLOAD).to_pylist() == [
        b'{"id":1}',
        b'{"id":2,"name":"b"}',
        b'{"id":3,"name":"c"}',
        b'{"id":4,"name":"d"}',
        b"null",
        b'"id,name"',
        b'{"id":"5","name":6}',
    ]


def test_a_field_is_found_under_its_physical_name_or_its_own() -> None:
    contract = Contract("c", (Field("customer", pa.string(), physical_name="cust_nm"),))
    batch = batch_of([{"cust_nm": "a"}, {"customer": "b"}, {"customer": "b", "cust_nm": None}], contract)
    assert batch.column("customer").to_pylist() == ["a", "b", None]


UNKNOWN = [{"id": 1}, {"id": 2, "tip": 1.5, "note": "x"}, {"id": "x", "tip": 0}]


def with_policy(policy: Any) -> Contract:
    return Contract("c", (Field("id", pa.int64()),), on_schema_change=policy)


def test_unknown_fields_are_left_out() -> None:
    batch = batch_of(UNKNOWN, with_policy("discard_value"))
    assert batch.schema.names == ["id", PAYLOAD, FAILURES]
    assert batch.column(FAILURES).null_count == 2


def test_unknown_fields_fail_their_row_if_the_contract_says_so() -> None:
    batch = batch_of(UNKNOWN, with_policy("discard_row"))
    found = [
        each and [(wrong["rule"], wrong["field"], wrong["value"]) for wrong in each]
        for each in batch.column(FAILURES).to_pylist()
    ]
    unknown = "schema.unknown_field"
    assert found == [
        None,
        [(unknown, "tip", None), (unknown, "note", None)],
        [("type", "id", "x"), (unknown, "tip", None)],
    ]


def test_unknown_fields_are_kept_beside_and_come_back_if_the_contract_evolves() -> None:
    batch = batch_of(UNKNOWN, with_policy("evolve"))
    assert batch.column(EXTRA).to_pylist() == [None, '{"tip":1.5,"note":"x"}', '{"tip":0}']
    assert dicts_of(batch, ["id"]) == [{"id": 1}, {"id": 2, "tip": 1.5, "note": "x"}, {"id": None, "tip": 0}]


def test_unknown_fields_end_the_run_if_the_contract_is_frozen() -> None:
    batch_of(UNKNOWN[:1], with_policy("freeze"))
    with pytest.raises(ContractViolation, match="unknown field 'tip' in rows of the contract 'c'"):
        batch_of(UNKNOWN, with_policy("freeze"))


def test_sensitive_values_are_not_in_failures() -> None:
    contract = Contract("c", (Field("card", pa.int64(), mask=Mask("redact")),))
    batch = batch_of([{"card": "4111-1111"}], contract)
    assert "4111" not in str(batch.column(FAILURES).to_pylist())


def test_values_that_are_shown_are_short() -> None:
    batch = batch_of([{"n": "x" * 10_000}], contract_of(pa.schema([("n", pa.int64())])))
    assert batch.column(FAILURES).to_pylist()[0][0]["value"] == "x" * 79 + "…"


def test_no_row_is_too_odd_for_a_payload() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    for odd in [*ODD, {"f": ODD}, cycle, {(1, 2): 3, "k": "v"}, {"\ud800": "\ud800"}, [cycle]]:
        assert json.loads(payload_of(odd)) is not ...
    assert json.loads(payload_of({"k": "v", "odd": Unprintable()})) == {"k": "'v'", "odd": "'<Unprintable>'"}
    assert json.loads(payload_of({"n": 2**70, "d": Decimal("1.50"), "at": Timestamp(0)})) == {
        "n": 2**70,
        "d": "1.50",
        "at": "Timestamp(0)",
    }


def test_no_rows_are_an_empty_batch() -> None:
    batch = batch_of([], EVERYTHING)
    assert batch.num_rows == 0
    assert dicts_of(batch, EVERYTHING.names) == []


def test_times_that_no_datetime_holds_are_named() -> None:
    with pytest.raises(OverflowError, match="column 'at' has times outside the years 1 to 9999"):
        python_values(pa.array([2**62], TIMESTAMP), "at")
