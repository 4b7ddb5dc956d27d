"""Rules inside objects, arrays and maps: the same verdicts as judging each value by hand, told by its path."""

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines import ledger
from beam_pipelines.columnar.failures import failures_column
from beam_pipelines.contract import Contract, Field
from beam_pipelines.contract.rules import QualityRule
from beam_pipelines.decode.json_lines import decode_json_lines
from beam_pipelines.errors import ContractViolation, UsageError
from beam_pipelines.validate.rules import judge

ORDERS = Contract(
    "orders",
    (
        Field("id", pa.int64()),
        Field.array(
            "lines",
            Field.object(
                "item",
                [
                    Field("price", pa.int64(), required=True, minimum=0),
                    Field("note", pa.string(), max_length=3, on_failure="null"),
                    Field("code", pa.string(), pattern="^[A-Z]", on_failure="warn"),
                ],
            ),
            max_items=3,
        ),
        Field.map("tags", Field("key", pa.string(), pattern="^[a-z]+$"), Field("value", pa.int64(), maximum=9)),
    ),
)


def judged(
    *rows: dict[str, Any], contract: Contract = ORDERS
) -> tuple[list[Any], list[list[tuple[str, str]]], list[Any]]:
    result = judge(pa.Table.from_pylist(list(rows), contract.schema).to_batches()[0], contract)
    failures = [
        [(failure["field"], failure["rule"]) for failure in failures]
        for failures in result.refused.column("__failures").to_pylist()
    ]
    return result.good.to_pylist(), failures, [tuple(note) for note in result.notes]


def line(price: int | None, note: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"price": price, "note": note, "code": code}


def order(*lines: dict[str, Any] | None, **tags: int) -> dict[str, Any]:
    return {"id": 1, "lines": list(lines), "tags": list(tags.items())}


def test_what_is_inside_is_judged_by_its_own_rules() -> None:
    good, failures, notes = judged(
        order(line(1), line(-1), line(-2)),
        order(line(1, "four", "x"), None),
        order(line(None)),
        order(line(1), a=1, b=10, **{"C": 5}),
        order(*[line(1)] * 4),
        {"id": 2, "lines": None, "tags": None},
    )
    assert failures == [
        [("lines[1].price", "minimum"), ("lines[2].price", "minimum")],
        [("lines[0].price", "required")],
        [("tags.key", "pattern"), ('tags["b"]', "maximum")],
        [("lines", "max_items")],
    ]
    assert good == [
        {"id": 1, "lines": [line(1, None, "x"), None], "tags": []},
        {"id": 2, "lines": None, "tags": None},
    ]
    assert notes == [(ledger.NULLED, "max_length", 1), (ledger.WARNED, "pattern", 1)]


def decoded(*texts: str, contract: Contract = ORDERS) -> pa.RecordBatch:
    found = decode_json_lines(pa.array([text.encode() for text in texts], pa.binary()), contract)
    columns = {**found.columns, "__failures": failures_column(found.found, len(texts))}
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def test_what_decoding_found_inside_is_taken_by_the_inner_fields_policy() -> None:
    result = judge(
        decoded(
            '{"lines": [{"price": 1, "note": 5}, {"price": 2, "code": false}]}',  # nulled: note and code
            '{"lines": [{"price": "x"}, {}]}',
            '{"tags": {"a]": "x", "b": "1"}}',
        ),
        ORDERS,
    )
    assert result.good.column("lines").to_pylist() == [[line(1), line(2)]]
    assert [tuple(note) for note in result.notes] == [(ledger.NULLED, "type", 2)]
    paths = [[(each["field"], each["rule"]) for each in row] for row in result.refused.column("__failures").to_pylist()]
    assert paths == [
        [("lines[0].price", "type"), ("lines[1].price", "required")],
        [("tags.key", "pattern"), ('tags["a]"]', "type"), ('tags["b"]', "type")],
    ]


def test_a_field_inside_can_make_the_run_fail() -> None:
    strict = Contract("c", (Field.array("a", Field("item", pa.int64(), minimum=0, on_failure="fail")),))
    with pytest.raises(ContractViolation, match=r"field 'a\[1\]' .* rule 'minimum' .*; the first value is -5"):
        judged({"a": [1, -5]}, contract=strict)
    hidden = Contract(
        "c", (Field.array("a", Field("item", pa.int64(), minimum=0, on_failure="fail"), classification="secret"),)
    )
    with pytest.raises(ContractViolation, match=r"first value is \*\*\*"):
        judged({"a": [1, -5]}, contract=hidden)


@given(st.lists(st.none() | st.lists(st.none() | st.integers(-2, 2), max_size=4), max_size=6), st.integers(0, 3))
def test_arrays_have_the_items_that_they_may_have(rows: list[Any], size: int) -> None:
    contract = (
        Contract(
            "c",
            (
                Field("n", pa.int64()),
                Field.array("a", Field("item", pa.int64()), min_items=size, max_items=2, unique_items=True),
            ),
        )
        if size <= 2
        else Contract("c", (Field("n", pa.int64()), Field.array("a", Field("item", pa.int64()), min_items=size)))
    )
    good, _, _ = judged(*({"n": 0, "a": row} for row in [None, *rows]), contract=contract)

    def keeps(row: list[Any] | None) -> bool:
        if row is None:
            return True
        return len(row) >= size and (size == 3 or (len(row) <= 2 and len(set(row)) == len(row)))

    assert [row["a"] for row in good] == [None, *(row for row in rows if keeps(row))]


def test_slices_of_batches_are_judged_as_batches() -> None:
    rows = [
        order(line(1)),
        order(line(-1)),
        {"id": 3, "lines": None, "tags": None},
        order(line(2), a=1),
        order(line(-2)),
    ]
    whole = pa.Table.from_pylist(rows, ORDERS.schema).to_batches()[0]
    for start in range(5):
        part = judge(whole.slice(start, 2), ORDERS)
        wanted = [row for row in rows[start : start + 2] if not row["lines"] or row["lines"][0]["price"] > 0]
        assert part.good.to_pylist() == wanted


def test_other_nested_types_are_cast_where_nothing_is_lost() -> None:
    contract = Contract(
        "c",
        (
            Field.object(
                "o",
                [Field("n", pa.int64()), Field("t", pa.timestamp("us", "UTC"), default_timezone="Europe/Paris")],
            ),
            Field.array("a", Field("item", pa.int64())),
            Field.map("m", Field("key", pa.string()), Field("value", pa.float64())),
        ),
    )
    source = pa.record_batch(
        {
            "o": pa.array(
                [
                    {"t": datetime.datetime(2024, 6, 1, 12), "n": 1, "more": 5},
                    None,
                    {"t": datetime.datetime(2024, 3, 31, 2, 30), "n": 3, "more": 5},
                ],
                pa.struct([("t", pa.timestamp("ns")), ("n", pa.int16()), ("more", pa.int8())]),
            ),
            "a": pa.array([[1, 2], None, []], pa.large_list(pa.field("element", pa.int8(), nullable=False))),
            "m": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.float32())),
        }
    )
    result = judge(source, contract)
    utc = datetime.timezone.utc
    assert result.good.to_pylist() == [
        {"o": {"n": 1, "t": datetime.datetime(2024, 6, 1, 10, tzinfo=utc)}, "a": [1, 2], "m": [("a", 1.0)]},
        {"o": None, "a": None, "m": None},
    ]
    assert [each["field"] for each in result.refused.column("__failures").to_pylist()[0]] == ["o.t"], "no such hour"


@pytest.mark.parametrize(
    ("kind", "policy", "complaint"),
    [
        (pa.list_(pa.struct([("q", pa.int64())])), "discard_value", r"column 'a\[\].p' is not there"),
        (pa.list_(pa.struct([("p", pa.float64())])), "discard_value", r"column 'a\[\].p' is double"),
        (pa.struct([("p", pa.int64())]), "discard_value", "column 'a' is struct<p: int64>, the contract says list<"),
        (
            pa.list_(pa.struct([("p", pa.int64()), ("x", pa.int8())])),
            "evolve",
            r"column 'a\[\].x' is not in the contract",
        ),
    ],
)
def test_nested_types_that_do_not_fit_are_told_by_their_path(kind: pa.DataType, policy: Any, complaint: str) -> None:
    contract = Contract("c", (Field.array("a", Field.object("i", [Field("p", pa.int64())])),), on_schema_change=policy)
    with pytest.raises(UsageError, match=complaint):
        judge(pa.record_batch({"a": pa.array([None], kind)}), contract)


# Rules of rows, in SQL

RULES = (
    QualityRule("sql", "mustBe", True, title="total", query="price * quantity <= 100"),
    QualityRule("sql", "mustBeGreaterThan", 0, ("price",), severity="warning", query="{property} - 1"),
)
SALES = Contract("sales", (Field("price", pa.int64()), Field("quantity", pa.int64())), quality=RULES)


def test_rules_in_sql_refuse_rows_or_warn_of_them() -> None:
    batch = pa.record_batch({"price": [10, 11, 1, None], "quantity": [10, 10, 1, 5]})
    result = judge(batch, SALES)
    assert result.good.column("price").to_pylist() == [10, 1, None]
    assert [tuple(note) for note in result.notes] == [(ledger.WARNED, "quality.sql", 1)]
    [[failure]] = result.refused.column("__failures").to_pylist()
    assert failure == {
        "rule": "quality.total", "field": None, "value": None, "message": "price * quantity <= 100 must be true",
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 40)), max_size=40))
def test_a_row_of_which_a_rule_cannot_be_computed_breaks_it(rows: list[tuple[int, int]]) -> None:
    price, quantity = [row[0] for row in rows], [row[1] for row in rows]
    batch = pa.record_batch({"price": pa.array(price, pa.int64()), "quantity": pa.array(quantity, pa.int64())})
    products = np.array([one * other for one, other in rows], object)
    wanted = [one for one, product in zip(price, products, strict=True) if -(2**63) <= product <= 100]
    assert judge(batch, SALES).good.column("price").to_pylist() == wanted
