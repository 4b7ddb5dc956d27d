"""Objects, arrays and maps in JSON: every value is decoded or fails by its path, as a decoder value by value says."""

import datetime
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.contract import Contract, Field, Mask
from beam_pipelines.decode.csv_rows import decode_csv_rows
from beam_pipelines.decode.json_lines import decode_json_lines
from beam_pipelines.errors import ContractError, ContractViolation

ORDER = Contract(
    "orders",
    (
        Field("id", pa.int64()),
        Field.array(
            "lines",
            Field.object(
                "item",
                [
                    Field("price", pa.decimal128(8, 2)),
                    Field("day", pa.date32(), physical_name='the "day"'),
                    Field.map("tags", Field("key", pa.int32()), Field("value", pa.float64())),
                ],
            ),
        ),
        Field.object("who", [Field("name", pa.string()), Field("zip", pa.string(), classification="restricted")]),
    ),
)


def decoded(*rows: str, contract: Contract = ORDER) -> tuple[list[dict[str, Any]], list[tuple[int, str, str | None]]]:
    """Rows as Python values, and the failures as (row, path, message)."""
    found = decode_json_lines(pa.array([row.encode() for row in rows], pa.binary()), contract)
    failures = [
        (row, failure["field"], failure["message"], failure["value"])
        for part in found.found
        for row, failure in zip(part.rows.tolist(), part.failures.to_pylist(), strict=True)
    ]
    return pa.table(found.columns).to_pylist(), sorted(failures, key=str)


def test_what_is_nested_comes_out_nested() -> None:
    rows, failures = decoded(
        '{"id": 1, "lines": [{"price": 1.50, "the \\"day\\"": "2024-01-31", "tags": {"7": 1}}, null, {}],'
        ' "who": {"name": "é"}}',
        '{"id": 2, "lines": []}',
    )
    assert not failures
    assert rows == [
        {
            "id": 1,
            "lines": [
                {"price": Decimal("1.50"), "day": datetime.date(2024, 1, 31), "tags": [(7, 1.0)]},
                None,
                {"price": None, "day": None, "tags": None},
            ],
            "who": {"name": "é", "zip": None},
        },
        {"id": 2, "lines": [], "who": None},
    ]


@pytest.mark.parametrize(
    ("row", "path", "message"),
    [
        ('{"lines": [{}, {"price": "x"}]}', "lines[1].price", "digits before the point"),
        ('{"lines": [{}, {}, {"price": true}]}', "lines[2].price", "got a boolean"),
        ('{"lines": [{"the \\"day\\"": "31.1."}]}', "lines[0].day", "a date as yyyy-MM-dd"),
        ('{"lines": [{"tags": {"1": 2, "3": "4"}}]}', 'lines[0].tags["3"]', "a finite number, got a string"),
        ('{"lines": [{"tags": {"x": 2}}]}', "lines[0].tags.key", "a whole number"),
        ('{"lines": [{"tags": [1]}]}', "lines[0].tags", "expected an object, got an array"),
        ('{"lines": {"price": 1}}', "lines", "expected an array, got an object"),
        ('{"lines": [5]}', "lines[0]", "expected an object, got a number"),
        ('{"who": "Ada"}', "who", "expected an object, got a string"),
        ('{"who": {"name": 5}}', "who.name", "expected a string, got a number"),
    ],
)
def test_a_value_of_another_type_fails_by_its_path(row: str, path: str, message: str) -> None:
    rows, [(at, field, said, _)] = decoded("{}", row, "{}")
    assert (at, field) == (1, path)
    assert message in said
    assert rows[0] == {"id": None, "lines": None, "who": None}


def test_values_that_are_right_stay_beside_a_wrong_one() -> None:
    rows, failures = decoded(
        '{"id": 1, "lines": [{"price": 1, "tags": {"1": "x", "2": 2}}, {"price": "y"}, {"price": 3}]}'
    )
    assert [path for _, path, _, _ in failures] == ['lines[0].tags["1"]', "lines[1].price"]
    assert [line["price"] for line in rows[0]["lines"]] == [1, None, 3]
    assert rows[0]["lines"][0]["tags"] == [(1, None), (2, 2.0)]


def test_sensitive_values_are_hidden_at_any_depth() -> None:
    _, failures = decoded('{"who": {"zip": 12345, "name": 67890}}')
    assert [(path, value) for _, path, _, value in failures] == [("who.name", "67890"), ("who.zip", "***")]
    secret = Contract(
        "s", (Field.map("m", Field("key", pa.string()), Field("value", pa.int64()), mask=Mask("redact")),)
    )
    _, [(_, path, _, value)] = decoded('{"m": {"ada@example.com": "1234"}}', contract=secret)
    assert (path, value) == ('m["***"]', "***")


def with_policy(policy: str) -> Contract:
    return Contract("t", ORDER.fields, on_schema_change=policy)  # type: ignore[arg-type]


def test_unknown_fields_inside_others_go_as_the_contract_says() -> None:
    row = '{"lines": [{"new": [1, "x"]}], "who": {"old": null}}'
    rows, failures = decoded(row, contract=with_policy("discard_value"))
    assert not failures
    rows, failures = decoded(row, contract=with_policy("evolve"))
    assert not failures
    assert json.loads(rows[0]["_extra"]) == {"lines[0].new": [1, "x"], "who.old": None}
    _, failures = decoded(row, contract=with_policy("discard_row"))
    assert [path for _, path, _, _ in failures] == ["lines[0].new", "who.old"]
    with pytest.raises(ContractViolation, match=r"unknown field 'lines\[0\].new'"):
        decoded(row, contract=with_policy("freeze"))


def test_more_rows_than_are_decoded_together_keep_their_numbers() -> None:
    _, failures = decoded(*["{}"] * 5000, '{"who": {"name": 5}}')
    assert [(row, path) for row, path, _, _ in failures] == [(5000, "who.name")]


def test_csv_refuses_nested_fields() -> None:
    with pytest.raises(ContractError, match=r"field 'lines': .* can't be read from text"):
        decode_csv_rows(pa.array([b"1,2,3"]), ORDER, header=b"id,lines,who")


# An independent decoder: value by value, by recursion.

PLAIN = st.sampled_from([Field("x", pa.int64()), Field("x", pa.string()), Field("x", pa.bool_())])


def made(name: str, levels: int) -> st.SearchStrategy[Field]:
    inner = PLAIN if levels == 0 else PLAIN | made("x", levels - 1)
    return (
        st.lists(inner, min_size=1, max_size=3).map(
            lambda fields: Field.object(
                name, [Field(**{**vars(each), "name": f"f{at}"}) for at, each in enumerate(fields)]
            )
        )
        | inner.map(lambda item: Field.array(name, item))
        | inner.map(lambda value: Field.map(name, Field("key", pa.string()), value))
    )


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text("ab{\u00e9", max_size=3) | st.just(1.5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["f0", "f1", "a", '"']), inner, max_size=3)
    ),
    max_leaves=8,
)


def by_hand(field: Field, value: Any, path: str, wrong: list[str], pairs: bool = False) -> Any:
    kind = field.type
    if value is None or (pairs and pa.types.is_map(kind) and value == []):
        return value  # no pairs are a map without entries
    if pa.types.is_struct(kind) and isinstance(value, dict):
        return {
            each.name: by_hand(each, value.get(each.name), f"{path}.{each.name}", wrong, pairs)
            for each in field.children
        }
    if pa.types.is_list(kind) and isinstance(value, list):
        return [by_hand(field.children[0], each, f"{path}[{at}]", wrong, pairs) for at, each in enumerate(value)]
    if pa.types.is_map(kind) and isinstance(value, dict):
        return [
            (key, by_hand(field.children[1], each, f"{path}[{json.dumps(key)}]", wrong, pairs))
            for key, each in value.items()
        ]
    fits = {pa.int64(): int, pa.string(): str, pa.bool_(): bool}.get(kind)
    if fits is not None and type(value) is fits and (fits is not int or -(2**63) <= value < 2**63):
        return value
    wrong.append(path)
    return None


def fitting(field: Field) -> st.SearchStrategy[Any]:
    """Mostly values of the type, with anything in between."""
    kind = field.type
    if pa.types.is_struct(kind):
        right: st.SearchStrategy[Any] = st.fixed_dictionaries(
            {}, optional={each.name: fitting(each) for each in field.children}
        )
    elif pa.types.is_list(kind):
        right = st.lists(fitting(field.children[0]), max_size=3)
    elif pa.types.is_map(kind):
        right = st.dictionaries(st.text("ab", max_size=2), fitting(field.children[1]), max_size=3)
    else:
        right = {pa.int64(): st.integers(-5, 5), pa.string(): st.text("é\n", max_size=2), pa.bool_(): st.booleans()}[
            kind
        ]
    return st.one_of(right, right, right, ANY)


@settings(max_examples=100, deadline=None)
@given(made("field", 2).flatmap(lambda field: st.tuples(st.just(field), st.lists(fitting(field), max_size=5))))
def test_any_value_of_any_nested_field_is_decoded_as_by_hand(drawn: tuple[Field, list[Any]]) -> None:
    field, values = drawn
    wanted, paths = [], []
    for row, value in enumerate(values):
        wrong: list[str] = []
        wanted.append({"field": by_hand(field, value, "field", wrong)})
        paths += [(row, path) for path in wrong]
    rows, failures = decoded(
        *(json.dumps({"field": value}, ensure_ascii=False) for value in values), contract=Contract("t", (field,))
    )
    assert rows == wanted
    assert sorted((row, path) for row, path, _, _ in failures) == sorted(paths)
