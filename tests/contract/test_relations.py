"""Foreign keys and measures are read in each of the standard's notations, and written so that they are read again."""

import pyarrow as pa
import pytest

from beam_pipelines.contract import Contract, Field, parse_contract, to_odcs
from beam_pipelines.contract.relations import Measure, Relationship
from beam_pipelines.errors import ContractError

TEXT = """
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
schema:
  - id: customers_tbl
    name: customers
    properties:
      - {id: customer_id, name: id, logicalType: integer}
      - id: address_field
        name: address
        logicalType: object
        properties: [{id: zip_field, name: zip, logicalType: string}]
  - name: orders
    relationships:
      - {from: [orders.customer, orders.zip], to: [customers.id, customers.address.zip]}
      - {from: orders.zip, to: 'places.odcs.yaml#/schema/places/properties/zip', customProperties: []}
    properties:
      - name: customer
        logicalType: integer
        relationships:
          - to: customers.id
          - to: schema/customers_tbl/properties/address_field/properties/zip_field
      - {name: zip, logicalType: string}
      - {name: price, logicalType: number}
      - {name: revenue, logicalType: number, semanticType: measure, transformLogic: sum(price), description: money}
"""


def test_each_notation_names_what_is_referred_to() -> None:
    orders = parse_contract(TEXT, object_name="orders")
    assert orders.relationships == (
        Relationship(("customer", "zip"), "customers", ("id", "address.zip")),
        Relationship(("zip",), "places", ("zip",), "places.odcs.yaml"),
        Relationship(("customer",), "customers", ("id",)),
        Relationship(("customer",), "customers", ("address.zip",)),
    )
    assert parse_contract(to_odcs(orders)) == orders


def test_a_measure_is_no_field() -> None:
    orders = parse_contract(TEXT, object_name="orders")
    assert orders.names == ("customer", "zip", "price")
    assert orders.measures == (Measure("revenue", "sum(price)", "money"),)
    assert str(orders.measures[0]) == 'sum(price) as "revenue"'
    again = parse_contract(to_odcs(orders))
    assert again.measures[0].description == "money"
    assert again.measures[0].about == orders.measures[0].about == {"logicalType": "number"}


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"relationships": (Relationship(("b",), "t", ("a",)),)}, "there is no field 'b'"),
        ({"relationships": (Relationship(("a",), "t", ()),)}, "1 fields refer to 0"),
        ({"relationships": (Relationship(("o",), "t", ("a",)),)}, "of fields with plain values"),
        ({"measures": (Measure("a", "sum(a)"),)}, "a field or another measure named 'a'"),
        ({"measures": (Measure("m", "sum(b)"),)}, "there is no field 'b'"),
        ({"measures": (Measure("m", "sum(a), max(a)"),)}, "a measure is one"),
    ],
)
def test_a_contract_in_python_is_checked_as_one_from_a_file(more: dict[str, object], complaint: str) -> None:
    fields = (Field("a", pa.int64()), Field.object("o", [Field("p", pa.int64())]))
    with pytest.raises(ContractError, match=complaint):
        Contract("t", fields, **more)  # type: ignore[arg-type]


def test_small_slips_in_python_are_told() -> None:
    with pytest.raises(ContractError, match=r"a pyarrow.DataType, not 'string'. Did you mean"):
        Field("a", "string")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="a field is a Field, not 'a'"):
        Contract("t", ("a",))  # type: ignore[arg-type]
    listed = Contract("t", [Field("a", pa.int64())])  # type: ignore[arg-type]
    assert listed == Contract("t", (Field("a", pa.int64()),))
    assert hash(listed.name)


def deep(levels: int) -> str:
    """A contract whose one field is so many arrays inside each other."""
    item = "{logicalType: string}"
    for _ in range(levels - 1):
        item = f"{{logicalType: array, items: {item}}}"
    head = "apiVersion: v3.1.0\nkind: DataContract\nid: d\nversion: 1.0.0\nschema:\n  - name: d\n    properties:\n"
    return f"{head}      - {{name: a, logicalType: array, items: {item}}}\n"


def test_nesting_is_bounded_with_a_clear_refusal() -> None:
    assert parse_contract(deep(15)).names == ("a",)
    with pytest.raises(ContractError, match="16 objects and arrays deep; at most 15 are read"):
        parse_contract(deep(16))
    with pytest.raises(ContractError, match="nested deeper than 100 levels"):
        parse_contract(deep(5000))
    field = Field("x", pa.int64())
    for _ in range(40):
        field = Field.array("x", field)
    with pytest.raises(ContractError, match="40 objects and arrays deep"):
        Contract("d", (field,))
