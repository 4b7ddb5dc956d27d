from __future__ import annotations

import dataclasses
import datetime as dt
import math
from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.columnar.provenance import EXTRA, FAILURES, PAYLOAD, raw_batch
from beam_pipelines.contract.masks import check_mask
from beam_pipelines.contract.model import Contract, Field, Mask, parse_mask
from beam_pipelines.dead_letters import failure, failures_column
from beam_pipelines.errors import ContractError, UsageError
from beam_pipelines.mask.methods import mask_batch, masked_schema

UTC = dt.timezone.utc
TIMESTAMP = pa.timestamp("us", "UTC")
TEXTS = st.text(max_size=12)


def mask_one(values: list[Any], kind: pa.DataType, mask: str) -> list[Any]:
    field = Field("v", kind, mask=parse_mask(mask))
    assert check_mask(field) is None
    batch = pa.RecordBatch.from_arrays([pa.array(values, kind)], names=["v"])
    contract = Contract("c", (field,))
    masked = mask_batch(batch.slice(len(values) // 2), contract)
    assert masked.schema == masked_schema(contract)
    head = mask_batch(batch.slice(0, len(values) // 2), contract)
    return head.column("v").to_pylist() + masked.column("v").to_pylist()


@given(st.lists(st.none() | TEXTS), st.integers(1, 5))
def test_keep_last_shows_the_last_characters_and_hides_short_strings_whole(values: list[Any], shown: int) -> None:
    def naive(text: str) -> str:
        hidden = len(text) - shown if len(text) > shown else len(text)
        return "*" * hidden + text[hidden:]

    expected = [None if value is None else naive(value) for value in values]
    assert mask_one(values, pa.string(), f"keep_last:{shown}") == expected


@given(st.lists(st.none() | TEXTS), st.integers(1, 5))
def test_generalised_strings_keep_their_first_characters(values: list[Any], kept: int) -> None:
    expected = [None if value is None else value[:kept] for value in values]
    assert mask_one(values, pa.string(), f"generalise:{kept}") == expected


@given(st.lists(st.none() | TEXTS))
def test_redacted_strings_are_stars_and_nulls_stay_null(values: list[Any]) -> None:
    assert mask_one(values, pa.string(), "redact") == [None if value is None else "***" for value in values]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.bool_(), pa.date32(), TIMESTAMP, pa.decimal128(5, 2)])
def test_redacted_values_that_are_no_strings_are_null(kind: pa.DataType) -> None:
    field = Field("v", kind, required=True, mask=Mask("redact"))
    value = {pa.date32(): dt.date(2024, 1, 1), pa.bool_(): True}.get(kind, 1)
    batch = pa.RecordBatch.from_arrays([pa.array([value], kind)], ["v"])
    masked = mask_batch(batch, Contract("c", (field,)))
    assert masked.column("v").to_pylist() == [None]
    assert masked.schema.field("v") == pa.field("v", kind, nullable=True)


@given(st.sampled_from([pa.int32(), pa.int64()]), st.sampled_from([2, 10, 1000, 7]), st.data())
def test_generalised_integers_are_rounded_down_and_never_overflow(
    kind: pa.DataType, step: int, data: st.DataObject
) -> None:
    low, high = -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1
    numbers = st.integers(low, high) | st.integers(-50, 50) | st.sampled_from([low, low + 1, high])
    values = data.draw(st.lists(st.none() | numbers))
    lowest = -(-low // step) * step
    expected = [None if value is None else max(value // step * step, lowest) for value in values]
    assert mask_one(values, kind, f"generalise:{step}") == expected


@given(st.sampled_from([(6, 2), (38, 4), (4, 2), (38, 0)]), st.sampled_from(["10", "2.5", "7"]), st.data())
def test_generalised_decimals_are_rounded_down_exactly(shape: tuple[int, int], step: str, data: st.DataObject) -> None:
    kind = pa.decimal128(*shape)
    if "." in step and kind.scale == 0:
        step = "3"
    with localcontext() as exact:
        exact.prec = 100
        most = (Decimal(10) ** kind.precision - 1).scaleb(-kind.scale)
        values = data.draw(st.lists(st.none() | st.decimals(-most, most, places=kind.scale)))
        unit = Decimal(step)
        lowest = -(most // unit) * unit
        expected = [None if v is None else max((v / unit).to_integral("ROUND_FLOOR") * unit, lowest) for v in values]
    assert mask_one(values, kind, f"generalise:{step}") == expected


def test_generalised_floats_keep_multiples_as_they_are() -> None:
    values = [0.3, 0.35, -0.05, 12.0, None, math.inf, 1e300, 1.7e308]
    assert mask_one(values, pa.float64(), "generalise:0.1")[:6] == [0.3, 0.3, -0.1, 12.0, None, math.inf]
    assert mask_one([17.0, -17.0, 2.5], pa.float64(), "generalise:2.5") == [15.0, -17.5, 2.5]


@given(st.lists(st.floats(-1e9, 1e9, allow_subnormal=False)), st.sampled_from([1, 10, 250]))
def test_generalised_floats_lie_in_their_bucket(values: list[float], step: int) -> None:
    for value, masked in zip(values, mask_one(values, pa.float64(), f"generalise:{step}"), strict=True):
        assert masked <= value < masked + step or value == pytest.approx(masked + step)
        assert masked % step == 0


def start_of(moment: dt.datetime, unit: str) -> dt.datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = {
        "hour": day.replace(hour=moment.hour),
        "day": day,
        "month": day.replace(day=1),
        "quarter": day.replace(day=1, month=(moment.month - 1) // 3 * 3 + 1),
        "year": day.replace(day=1, month=1),
    }
    return day - dt.timedelta(days=day.weekday()) if unit == "week" else starts[unit]


@given(
    st.lists(st.none() | st.datetimes(dt.datetime(1, 1, 8), timezones=st.just(UTC))),
    st.sampled_from(["year", "quarter", "month", "week", "day", "hour"]),
)
def test_generalised_timestamps_are_the_start_of_their_unit_in_utc(values: list[Any], unit: str) -> None:
    expected = [None if value is None else start_of(value, unit) for value in values]
    assert mask_one(values, TIMESTAMP, f"generalise:{unit}") == expected


@given(st.lists(st.none() | st.dates(dt.date(1, 1, 8))), st.sampled_from(["year", "quarter", "month", "week"]))
def test_generalised_dates_are_the_start_of_their_unit(values: list[Any], unit: str) -> None:
    midnight = dt.time()
    expected = [None if v is None else start_of(dt.datetime.combine(v, midnight), unit).date() for v in values]
    assert mask_one(values, pa.date32(), f"generalise:{unit}") == expected


def people() -> Contract:
    return Contract(
        "people",
        (
            Field("name", pa.string(), required=True, mask=Mask("drop")),
            Field("age", pa.int32(), mask=Mask("generalise", "10")),
            Field("seen", TIMESTAMP, event_time=True),
            Field("city", pa.string()),
        ),
    )


def decoded() -> pa.RecordBatch:
    raw = raw_batch(pa.array([b"{secret}", b"{secret2}"]), "f.jsonl", pa.array([0, 9]), {b"csv.header": b"name"})
    columns = {
        "age": pa.array([37, None], pa.int32()),
        "seen": pa.array([0, 1], TIMESTAMP),
        "city": pa.array(["Köln", "Ulm"]),
        "name": pa.array(["Ann", "Bob"]),
        **{name: raw.column(name) for name in raw.schema.names},
        "__key": pa.array([b"Ann", b"Bob"]),
        "__attributes": pa.array([[("who", b"Ann")], None], pa.map_(pa.string(), pa.binary())),
    }
    return pa.RecordBatch.from_pydict(columns)


def test_no_clear_value_is_left_in_a_masked_batch() -> None:
    masked = mask_batch(decoded(), people())
    assert masked.select(["age", "seen", "city"]).to_pydict() == decoded().select(["seen", "city"]).to_pydict() | {
        "age": [30, None]
    }
    assert masked.schema.names == ["age", "seen", "city", "__source", "__position"]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, masked.schema) as writer:
        writer.write_batch(masked)
    coded = sink.getvalue().to_pybytes()
    assert b"secret" not in coded
    assert b"Ann" not in coded
    assert b"Ulm" in coded


def test_a_column_that_the_contract_does_not_name_is_refused() -> None:
    batch = decoded().append_column("agee", pa.array([1, 2]))
    with pytest.raises(ValueError, match=r"column 'agee' is not in contract 'people'.*Did you mean 'age'\?"):
        mask_batch(batch, people())


def test_unknown_fields_pass_a_contract_that_evolves() -> None:
    batch = decoded().append_column(EXTRA, pa.array(['{"tip":1}', None]))
    with pytest.raises(ValueError, match="column '_extra' is not in contract"):
        mask_batch(batch, people())
    masked = mask_batch(batch, dataclasses.replace(people(), on_schema_change="evolve"))
    assert masked.column(EXTRA).to_pylist() == ['{"tip":1}', None]


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(ValueError, match="has a field 'age'"):
        mask_batch(decoded().drop_columns(["age"]), people())


def test_rows_that_were_not_validated_are_refused() -> None:
    failures = failures_column([[failure("type", "age", "x", "not an int")], None])
    with pytest.raises(ValueError, match="put ValidateBatches before MaskBatches"):
        mask_batch(decoded().append_column(FAILURES, failures), people())
    passed = mask_batch(decoded().append_column(FAILURES, failures_column([None, None])), people())
    assert not {FAILURES, PAYLOAD} & set(passed.schema.names)


def test_an_empty_batch_is_masked_to_an_empty_batch() -> None:
    assert mask_batch(decoded().slice(0, 0), people()).num_rows == 0


def test_a_pseudonym_without_a_key_is_refused() -> None:
    contract = Contract("c", (Field("v", pa.string(), mask=Mask("pseudonym")),))
    with pytest.raises(UsageError, match="a mask key is needed"):
        mask_batch(pa.record_batch({"v": ["a"]}), contract)


@pytest.mark.parametrize(
    ("kind", "mask", "message"),
    [
        (pa.int64(), "keep_last:4", "is for strings, not for int64"),
        (pa.string(), "generalise:month", "leading characters"),
        (pa.string(), "generalise:0", "leading characters"),
        (pa.int64(), "generalise:1", "whole number above 1"),
        (pa.int64(), "generalise:2.5", "whole number above 1"),
        (pa.int64(), "generalise:month", "whole number above 1"),
        (pa.float64(), "generalise:0", "positive number"),
        (pa.decimal128(6, 2), "generalise:0.001", "decimal128(6, 2) can hold"),
        (pa.decimal128(6, 2), "generalise:0.01", "decimal128(6, 2) can hold"),
        (pa.decimal128(6, 2), "generalise:10000", "decimal128(6, 2) can hold"),
        (pa.date32(), "generalise:day", "year, quarter, month, week."),
        (TIMESTAMP, "generalise:days", "Did you mean 'day'?"),
        (TIMESTAMP, "generalise:10", "needs a unit of time"),
        (pa.bool_(), "generalise:2", "is not possible for bool"),
    ],
)
def test_a_mask_that_does_not_fit_its_type_says_what_does(kind: pa.DataType, mask: str, message: str) -> None:
    field = Field("v", kind, mask=parse_mask(mask))
    finding = check_mask(field)
    assert finding is not None
    assert finding.startswith(f"field 'v': mask '{mask}' ")
    assert message in finding
    with pytest.raises(ContractError) as raised:
        masked_schema(Contract("c", (field,)))
    assert raised.value.findings == [finding]


@pytest.mark.parametrize("mask", ["drop", "redact", "pseudonym", "generalise:hour"])
def test_the_event_time_is_never_masked(mask: str) -> None:
    finding = check_mask(Field("at", TIMESTAMP, event_time=True, mask=parse_mask(mask)))
    assert finding is not None
    assert "hides the event time" in finding


def test_a_partition_column_is_not_dropped() -> None:
    assert "partition" in (check_mask(Field("p", pa.string(), partition_position=1, mask=Mask("drop"))) or "")
    assert check_mask(Field("p", pa.date32(), partition_position=1, mask=Mask("generalise", "month"))) is None


def test_unmasked_fields_have_nothing_to_check() -> None:
    assert check_mask(Field("v", pa.int64())) is None
