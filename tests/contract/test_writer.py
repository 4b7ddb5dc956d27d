"""A contract written out is the same when it is read again."""

import dataclasses
import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.contract import Contract, Field, Mask, lint, parse_contract, read_contract, to_odcs
from beam_pipelines.contract.relations import Measure
from beam_pipelines.contract.rules import QualityRule
from beam_pipelines.errors import ContractError

FILES = Path(__file__).parent / "files"
UTC = datetime.timezone.utc
TIMESTAMP = pa.timestamp("us", "UTC")
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co", "Zl", "Zp"], exclude_characters="\ufeff")
TEXTS = st.text(CHARACTERS, max_size=10) | st.sampled_from(
    ["NO", "yes", "012", "1e5", "0o7", "null", "~", "<<", "2024-01-01"]
)


@pytest.mark.parametrize("name", ["order_lines", "clickstream", "payments"])
def test_files_of_others_survive_with_what_informs(name: str) -> None:
    contract = read_contract(FILES / f"{name}.odcs.yaml")
    text = to_odcs(contract)
    again = parse_contract(text)
    assert again == contract
    assert again.fingerprint == contract.fingerprint
    assert again.about == contract.about
    assert [field.about for field in again.fields] == [field.about for field in contract.fields]
    assert not [finding for finding in lint(text) if "mask" not in finding.message and finding.severity == "error"]


def ordered(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Bounds that leave something between them, or listed values."""

    def rules(pair: tuple[Any, Any]) -> st.SearchStrategy[dict[str, Any]]:
        low, high = sorted(pair)
        open_ends = {"exclusive_minimum": low, "exclusive_maximum": high} if low < high else {}
        return st.sampled_from(
            [{}, {"minimum": low}, {"maximum": high}, {"minimum": low, "maximum": high}, {"enum": (low,)}, open_ends]
        )

    return st.tuples(values, values).flatmap(rules)


def moments() -> st.SearchStrategy[datetime.datetime]:
    return st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30), timezones=st.just(UTC))


NUMBERS = {
    pa.int32(): st.integers(-(2**30), 2**30),
    pa.int64(): st.integers(-(2**62), 2**62),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False, width=32),
    pa.decimal128(20, 3): st.decimals(-(10**15), 10**15, places=3),
    pa.date32(): st.dates(),
    TIMESTAMP: moments(),
}


def wide_enough(kind: pa.DataType, rules: dict[str, Any]) -> bool:
    """Neighbouring values leave nothing between open ends."""
    try:
        Contract("t", (Field("a", kind, **rules),))
    except ContractError:
        return False
    return True


@st.composite
def fields(draw: st.DrawFn, name: str) -> Field:
    kind = draw(st.sampled_from([*NUMBERS, pa.string(), pa.bool_()]))
    rules: dict[str, Any] = {}
    if kind in NUMBERS:
        rules = draw(ordered(NUMBERS[kind]).filter(lambda rules: wide_enough(kind, rules)))
    elif kind == pa.string():
        rules = draw(
            st.fixed_dictionaries({}, optional={"min_length": st.integers(0, 3), "max_length": st.integers(3, 99)})
            | st.just({"pattern": r"^[^\s\u00e9]{0,5}.$"})
            | st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(lambda listed: {"enum": tuple(listed)})
        )
    if kind == TIMESTAMP:
        rules |= draw(
            st.sampled_from(
                [
                    {},
                    {"default_timezone": "Asia/Tokyo"},
                    {"date_format": "dd.MM.yyyy'T'HH:mmXXX"},
                    {"date_format": "yyyy/MM/dd", "default_timezone": "Etc/UTC"},
                ]
            )
        )
    if kind == pa.date32():
        rules["date_format"] = draw(st.none() | st.just("dd/MM/yy"))
    mask = draw(st.sampled_from([None, Mask("redact"), Mask("pseudonym")]))
    physical = draw(st.none() | st.just(f"src {name}"))
    return Field(
        name,
        kind,
        required=draw(st.booleans()),
        classification=draw(st.none() | TEXTS.filter(bool)),
        mask=mask,
        on_failure=draw(st.sampled_from(["reject", "warn", "fail"])),
        description=draw(st.none() | TEXTS.filter(bool)),
        physical_name=physical,
        **rules,
    )


def nested(draw: st.DrawFn, name: str, levels: int = 2) -> Field:
    """An object, array or map of drawn fields; `levels` of them at most."""
    inner = [nested(draw, f"n{place}", levels - 1) if levels and draw(st.booleans()) else draw(fields(f"n{place}"))
             for place in range(2)]  # fmt: skip
    size = draw(st.sampled_from([{}, {"min_items": 1}, {"max_items": 2}, {"min_items": 0, "max_items": 1}]))
    kind = draw(st.sampled_from(["object", "array", "map"]))
    if kind == "object":
        return Field.object(name, inner, required=draw(st.booleans()), **size)
    if kind == "array":
        distinct = draw(st.booleans()) and not inner[0].children
        return Field.array(name, inner[0], unique_items=distinct, description="what", **size)
    mask = draw(st.sampled_from([None, Mask("redact")]))
    return Field.map(name, Field("key", pa.string(), pattern="^a"), inner[0], mask=mask, **size)


RULES = (
    QualityRule("rowCount", "mustBeBetween", (1, 10), title="few", about={"dimension": "coverage"}),
    QualityRule("nullValues", "mustBeLessThan", 1.5, ("time",), unit="percent", severity="warning"),
    QualityRule("missingValues", "mustBe", 0, ("key",), listed=(None, 0, -1)),
    QualityRule("invalidValues", "mustNotBe", 3, ("time",), listed=(datetime.datetime(2020, 1, 1, tzinfo=UTC),)),
    QualityRule("duplicateValues", "mustBeLessOrEqualTo", 3, ("key", "time")),
    QualityRule("duplicateValues", "mustBe", 0, ("key",)),
    QualityRule("sql", "mustBe", True, query="key > 0 -- positive", description="what"),
    QualityRule("sql", "mustBe", 0, ("key",), query="SELECT count(*) FROM {object} WHERE {property} < 0"),
    QualityRule("sql", "mustBeGreaterThan", Decimal("0.5"), query="key * 1.5"),
)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    names = draw(
        st.lists(TEXTS.filter(lambda name: name.strip() and name[:2] != "__"), min_size=1, max_size=4, unique=True)
    )
    key = Field("key", pa.int64(), primary_key_position=1)
    time = Field("time", TIMESTAMP, event_time=True, partition_position=2)
    drawn = [draw(fields(name)) for name in names if name not in ("key", "time")]
    if draw(st.booleans()):
        drawn.append(nested(draw, "a nest"))
    return Contract(
        draw(TEXTS.filter(bool)),
        (dataclasses.replace(key, unique=draw(st.booleans())), time, *drawn),
        version=draw(TEXTS.filter(bool)),
        deduplicate=draw(st.booleans()),
        on_schema_change=draw(st.sampled_from(["evolve", "freeze", "discard_row", "discard_value"])),
        quality=tuple(rule for rule in RULES if draw(st.booleans())),
        measures=draw(st.sampled_from([(), (Measure("how many", "count(*)"),)])),
    )


@settings(max_examples=80)
@given(contracts())
def test_any_contract_is_read_back_as_it_was(contract: Contract) -> None:
    again = parse_contract(to_odcs(contract))
    assert again == contract
    assert [field.description for field in again.fields] == [field.description for field in contract.fields]


def test_exact_numbers_stay_exact() -> None:
    price = Decimal("12345678901234567890123456789012345.678")
    field = Field("a", pa.decimal128(38, 3), maximum=price, multiple_of=Decimal("0.001"))
    text = to_odcs(Contract("t", (field,)))
    assert f"maximum: {price}" in text
    assert parse_contract(text).fields == (field,)


@pytest.mark.parametrize("kind", [pa.float64(), pa.decimal128(9, 1), pa.int32(), pa.int64()])
@pytest.mark.parametrize("physical", ["decimal(10,2)", "int4", "double", "decimal", "varchar(3)"])
def test_a_physical_type_carried_along_does_not_change_the_type(kind: pa.DataType, physical: str) -> None:
    contract = Contract("t", (Field("a", kind, about={"physicalType": physical}),))
    assert parse_contract(to_odcs(contract)) == contract


def test_a_type_that_the_standard_lacks_is_an_error() -> None:
    with pytest.raises(ContractError, match="no word for the type binary"):
        to_odcs(Contract("t", (Field("a", pa.binary()),)))
