from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode.xml_rows import decode_xml_rows
from beam_pipelines.errors import ContractViolation

ORDERS = (
    Field("id", pa.int64()),
    Field("note", pa.string()),
    Field("price", pa.decimal128(8, 2)),
    Field("city", pa.string(), physical_name="customer/address/city"),
    Field("key", pa.string(), physical_name="customer/@key"),
    Field.array("tags", Field("item", pa.string()), physical_name="tags/tag"),
    Field.object("size", [Field("w", pa.int32()), Field("h", pa.int32())]),
    Field.map("facts", Field("key", pa.string()), Field("value", pa.int64())),
)


def decode(
    *payloads: bytes, policy: str = "discard_value", encoding: str | None = None
) -> tuple[list[dict[str, Any]], list[tuple[int, str, str | None]]]:
    contract = Contract("orders", ORDERS, on_schema_change=policy)  # type: ignore[arg-type]
    columns, found = decode_xml_rows(pa.array(payloads, pa.binary()), contract, encoding)
    failures = [
        (int(row), failure["rule"], failure["field"])
        for each in found
        for row, failure in zip(each.rows, each.failures.to_pylist(), strict=True)
    ]
    return pa.RecordBatch.from_pydict(columns).to_pylist(), sorted(failures, key=str)


WHOLE = (
    b"<n:order xmlns:n='u' id='7'><note> a &lt;\xc3\xa9 <![CDATA[<b>]]></note><price> 1.50\n</price>"
    b"<customer key='k'><address><city>Ulm</city></address></customer>"
    b"<tags><tag>x</tag><tag/></tags><size w='3'><h>4</h></size><facts><a>1</a><b>2</b></facts></n:order>"
)


def test_elements_attributes_paths_and_nested_values_are_read() -> None:
    rows, failures = decode(WHOLE)
    assert failures == []
    assert rows == [
        {
            **{"id": 7, "note": " a <é <b>", "price": Decimal("1.50"), "city": "Ulm", "key": "k"},
            **{"tags": ["x", ""], "size": {"w": 3, "h": 4}, "facts": [("a", 1), ("b", 2)]},
        }
    ]


def test_what_is_absent_nil_or_empty() -> None:
    rows, failures = decode(b"<o><note/><price/><id xmlns:xsi='x' xsi:nil='true'/><tags/></o>", b"<o/>")
    assert failures == []
    absent = dict.fromkeys((field.name for field in ORDERS), None)
    assert rows == [{**absent, "note": "", "tags": []}, absent]


def test_a_wrong_value_costs_its_row_that_value() -> None:
    rows, failures = decode(
        b"<o><id>x</id><note>n</note></o>",
        b"<o><id>1</id><id>2</id><note>n</note></o>",
        b"<o><id><a/></id><note>n</note></o>",
        b"<o><size><w>z</w><h>1</h></size></o>",
    )
    assert failures == [(0, "type", "id"), (1, "type", "id"), (2, "type", "id"), (3, "type", "size.w")]
    assert [row["note"] for row in rows] == ["n", "n", "n", None]
    assert rows[3]["size"] == {"w": None, "h": 1}


def test_what_is_no_element_fails_alone() -> None:
    rows, failures = decode(
        b"<o><id>1</id></o>",
        b"",
        b"<o>",
        b"</rows><rows>",
        b"<a/><b/>",
        b"text",
        b"<?xml version='1.0'?>\n<o><id>2</id></o>",
        b"<!DOCTYPE o [<!ENTITY e 'bomb'>]><o><note>&e;</note></o>",
        b"<o><note>&undeclared;</note></o>",
        b"<o>" * 200 + b"</o>" * 200,
        b"<o><id>3</id></o>",
    )
    assert [row["id"] for row in rows] == [1, *[None] * 5, 2, None, None, None, 3]
    assert {row: rule for row, rule, _ in failures} == {
        **dict.fromkeys((1, 2, 3, 4, 5, 8), "xml.malformed"),
        **dict.fromkeys((7, 9), "xml.forbidden"),
    }


def test_unknown_children_and_attributes_go_as_the_contract_says() -> None:
    row = b"<o xmlns='u' xmlns:xsi='x' xsi:schemaLocation='l' new='1'><id>1</id><more><a>2</a><a>3</a></more></o>"
    assert decode(row)[1] == []
    assert decode(row, policy="discard_row")[1] == [
        (0, "schema.unknown_field", "more"),
        (0, "schema.unknown_field", "new"),
    ]
    with pytest.raises(ContractViolation, match="unknown field 'new'"):
        decode(row, policy="freeze")
    (kept,) = decode(row, policy="evolve")[0]
    assert json.loads(kept["_extra"]) == {"new": "1", "more": {"a": ["2", "3"]}}


def test_payloads_keep_the_encoding_of_their_file() -> None:
    rows, failures = decode("<o><note>é</note></o>".encode("latin-1"), encoding="iso8859-1")
    assert (rows[0]["note"], failures) == ("é", [])
