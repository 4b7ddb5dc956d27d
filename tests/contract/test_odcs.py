"""Contracts read from files of the Open Data Contract Standard."""

import datetime
import pickle
import time
from decimal import Decimal
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.contract import Contract, Mask, parse_contract, read_contract
from beam_pipelines.errors import ContractError, UsageError

FILES = Path(__file__).parent / "files"
UTC = datetime.timezone.utc
TIMESTAMP = pa.timestamp("us", "UTC")

HEAD = """apiVersion: v3.2.0
kind: DataContract
id: t
version: 1.0.0
schema:
  - name: t
    properties:
"""


def one_field(properties: str) -> Contract:
    return parse_contract(f"{HEAD}      - {properties}")


def test_a_shops_order_lines_are_read_as_they_are() -> None:
    contract = read_contract(FILES / "order_lines.odcs.yaml")
    assert contract.name == "order_lines"
    assert contract.version == "2.3.0"
    assert contract.primary_key == ("order_id", "line_no")
    assert contract.partition_by == ("country",)
    assert contract.schema == pa.schema(
        [
            pa.field("order_id", pa.string(), nullable=False),
            pa.field("line_no", pa.int64(), nullable=False),
            pa.field("sku", pa.string(), nullable=False),
            pa.field("quantity", pa.int32(), nullable=False),
            pa.field("unit_price", pa.decimal128(12, 2), nullable=False),
            ("discount", pa.float64()),
            pa.field("currency", pa.string(), nullable=False),
            ("country", pa.string()),
            ("gift", pa.bool_()),
            pa.field("ordered_at", TIMESTAMP, nullable=False),
            ("promised_on", pa.date32()),
        ]
    )
    assert contract.field("unit_price").maximum == Decimal("99999999.99")
    assert contract.field("quantity").exclusive_minimum == 0
    assert contract.field("ordered_at").default_timezone == "Europe/Paris"
    assert contract.field("promised_on").date_format == "dd/MM/yyyy"
    assert contract.field("promised_on").minimum == datetime.date(2020, 1, 1)
    assert contract.about["description"]["usage"] == "Revenue reports, demand planning"


def test_a_clickstream_with_our_custom_properties() -> None:
    contract = read_contract(FILES / "clickstream.odcs.yaml")
    assert contract.deduplicate
    assert contract.on_schema_change == "freeze"
    assert contract.event_time is contract.field("ts")
    assert contract.field("visitor").mask == Mask("pseudonym")
    assert contract.field("ip").mask == Mask("drop")
    assert contract.field("country").enum == ("NO", "SE", "FR"), "Norway is a country, not a no"
    assert contract.field("country").on_failure == "null"
    assert contract.field("bot").required, "yes is true to YAML 1.1, in which other tools read"
    assert (contract.field("duration_ms").minimum, contract.field("duration_ms").maximum) == (0, 2**32 - 1)
    assert contract.field("event_id").unique


def test_a_file_like_the_standards_own_full_example_carries_along_what_informs() -> None:
    contract = read_contract(FILES / "payments.odcs.yaml")
    assert contract.names == ("transaction_reference_date", "rcvr_id", "booked", "account", "amount")
    assert contract.field("transaction_reference_date").source_name == "txn_ref_dt"
    assert contract.field("rcvr_id").required, "a key without a value is no key"
    assert contract.field("booked").type == TIMESTAMP, "v3.0 had one type for dates and timestamps"
    assert contract.field("booked").default_timezone == "Etc/UTC"
    assert contract.field("account").type == pa.int64(), "a number of an integer's physical type keeps its digits"
    assert contract.field("amount").type == pa.decimal128(18, 4)
    assert contract.field("rcvr_id").unmasked
    assert {"team", "roles", "servers", "slaProperties", "support", "price", "tags"} <= contract.about.keys()
    assert contract.about["schema"]["customProperties"][0]["property"] == "business-key"
    assert contract.field("transaction_reference_date").about["transformDescription"] == "logic for dummies"
    assert contract.field("transaction_reference_date").about["examples"] == ["2022-10-03"]


def test_one_of_several_objects_is_chosen_by_name_or_physical_name() -> None:
    path = FILES / "shop.odcs.yaml"
    assert read_contract(path, "orders").names == ("id", "placed_at")
    assert read_contract(f"{path}#orders") == read_contract(path, "orders")
    assert read_contract(path, "crm_customers").field("address").type == pa.struct([("street", pa.string())])
    with pytest.raises(ContractError, match=r"there is no schema object 'ordres'\. Did you mean 'orders'"):
        read_contract(path, "ordres")
    with pytest.raises(ContractError) as raised:
        read_contract(path)
    assert raised.value.findings == [
        "line 5: schema: there are 2 schema objects (customers, orders): say which, as in contract.yaml#customers"
    ]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ("{name: a, logicalType: string}", pa.string()),
        ("{name: a, logicalType: boolean}", pa.bool_()),
        ("{name: a, logicalType: integer}", pa.int64()),
        ("{name: a, logicalType: integer, physicalType: int}", pa.int64()),
        ("{name: a, logicalType: integer, physicalType: INT32}", pa.int32()),
        ("{name: a, logicalType: integer, logicalTypeOptions: {format: i32}}", pa.int32()),
        ("{name: a, logicalType: integer, physicalType: int32, logicalTypeOptions: {format: i64}}", pa.int64()),
        ("{name: a, logicalType: integer, logicalTypeOptions: {format: u16}}", pa.int32()),
        ("{name: a, logicalType: number}", pa.float64()),
        ("{name: a, logicalType: number, physicalType: double precision}", pa.float64()),
        ("{name: a, logicalType: number, physicalType: 'NUMERIC( 10 , 2 )'}", pa.decimal128(10, 2)),
        ("{name: a, logicalType: number, physicalType: 'NUMBER(9)'}", pa.decimal128(9, 0)),
        ("{name: a, logicalType: number, physicalType: number}", pa.float64()),
        ("{name: a, logicalType: number, physicalType: decimal}", pa.decimal128(38, 9)),
        ("{name: a, logicalType: number, physicalType: serial}", pa.int64()),
        ("{name: a, logicalType: date}", pa.date32()),
        ("{name: a, logicalType: timestamp}", TIMESTAMP),
        ("{name: a, physicalType: varchar(20)}", pa.string()),
        ("{name: a, physicalType: bigint}", pa.int64()),
        ("{name: a, physicalType: timestamp with time zone}", TIMESTAMP),
        ("{name: a, physicalType: 'decimal[8,3]'}", pa.decimal128(8, 3)),
    ],
)
def test_types(properties: str, expected: pa.DataType) -> None:
    assert one_field(properties).fields[0].type == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("logicalType: timestamp", None),
        ("logicalType: timestamp, logicalTypeOptions: {timezone: true}", None),
        ("logicalType: timestamp, logicalTypeOptions: {timezone: true, defaultTimezone: Asia/Tokyo}", None),
        ("logicalType: timestamp, logicalTypeOptions: {timezone: false}", "Etc/UTC"),
        ("logicalType: timestamp, logicalTypeOptions: {defaultTimezone: Asia/Tokyo}", "Asia/Tokyo"),
        ("logicalType: timestamp, physicalType: timestamp_ntz", "Etc/UTC"),
        ("logicalType: timestamp, physicalType: TIMESTAMP(6) WITHOUT TIME ZONE", "Etc/UTC"),
        ("logicalType: timestamp, logicalTypeOptions: {format: 'yyyy-MM-dd HH:mm'}", "Etc/UTC"),
        ("logicalType: timestamp, logicalTypeOptions: {format: 'yyyy-MM-ddTHH:mm:ssZ'}", None),
        ("logicalType: timestamp, logicalTypeOptions: {format: \"yyyy-MM-dd'T'HH:mm'Z'\"}", None),
    ],
)
def test_a_timestamp_without_zone_is_refused_unless_the_contract_says_so(options: str, expected: str | None) -> None:
    assert one_field(f"{{name: a, {options}}}").fields[0].default_timezone == expected


def test_the_standards_unquoted_t_becomes_javas() -> None:
    field = one_field("{name: a, logicalType: timestamp, logicalTypeOptions: {format: 'yyyy-MM-ddTHH:mm:ssZ'}}").fields[
        0
    ]
    assert field.date_format == "yyyy-MM-dd'T'HH:mm:ssZ"


def test_bounds_keep_every_digit_and_fall_on_values_of_the_type() -> None:
    price = one_field(
        "{name: a, logicalType: number, physicalType: 'decimal(20,2)',"
        " logicalTypeOptions: {minimum: 0.001, maximum: 123456789012345678.99, multipleOf: 0.005}}"
    ).fields[0]
    assert (price.minimum, price.maximum) == (Decimal("0.01"), Decimal("123456789012345678.99"))
    assert price.multiple_of == Decimal("0.01"), "multiples of half a cent that are whole cents are whole cents"
    count = one_field(
        "{name: a, logicalType: integer, logicalTypeOptions:"
        " {exclusiveMinimum: 0.5, maximum: 1.0e+30, multipleOf: 1.5}}"
    ).fields[0]
    assert (count.exclusive_minimum, count.maximum, count.multiple_of) == (0, None, 3)
    big = one_field("{name: a, logicalType: integer, enum: [{value: 9223372036854775807}]}").fields[0]
    assert big.enum == (9223372036854775807,)


def test_bounds_of_timestamps_are_in_the_fields_own_zone() -> None:
    field = one_field(
        "{name: a, logicalType: timestamp, logicalTypeOptions:"
        " {defaultTimezone: Europe/Paris, minimum: 2024-07-01 00:00:00, maximum: 2024-12-31T23:59:59.5Z}}"
    ).fields[0]
    assert field.minimum == datetime.datetime(2024, 6, 30, 22, tzinfo=UTC)
    assert field.maximum == datetime.datetime(2024, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)


def test_custom_properties_of_other_tools_are_carried_along_even_by_our_name() -> None:
    contract = one_field(
        "{name: a, logicalType: string, customProperties:"
        " [{property: mask, value: sha256, vendor: soda}, {property: pii, value: {level: 3}}]}"
    )
    assert contract.fields[0].mask is None
    assert [each["property"] for each in contract.fields[0].about["customProperties"]] == ["mask", "pii"]


def test_key_positions_that_are_not_stated_follow_in_order() -> None:
    contract = one_field(
        "{name: a, logicalType: integer, primaryKey: true, primaryKeyPosition: -1}\n"
        "      - {name: b, logicalType: integer, primaryKey: true, primaryKeyPosition: 1}\n"
        "      - {name: c, logicalType: integer, primaryKey: true}"
    )
    assert contract.primary_key == ("b", "a", "c")


def test_anchors_and_merge_keys_are_followed() -> None:
    text = HEAD.replace("schema:", "tags: &tags [x]\nschema:")
    contract = parse_contract(
        f"{text}      - &base {{name: a, logicalType: string, required: true, tags: *tags}}\n"
        "      - {<<: *base, name: b}"
    )
    assert contract.names == ("a", "b")
    assert contract.field("b").required
    assert contract.field("b").about["tags"] == ["x"]


def test_json_is_yaml() -> None:
    assert parse_contract(
        '{"apiVersion": "v3.1.0", "kind": "DataContract", "id": "a", "version": "1",'
        ' "schema": [{"name": "t", "properties": [{"name": "a", "logicalType": "string"}]}]}'
    ).names == ("a",)


def test_a_newer_version_of_the_standard_is_read_as_the_newest_known() -> None:
    assert parse_contract(f"{HEAD.replace('v3.2.0', 'v3.9.0')}      - {{name: a, logicalType: string}}").names == ("a",)


def test_a_contract_can_be_pickled_and_its_fingerprint_is_of_its_meaning() -> None:
    contract = read_contract(FILES / "payments.odcs.yaml")
    again = pickle.loads(pickle.dumps(contract))
    assert again == contract
    assert again.fingerprint == contract.fingerprint
    text = (FILES / "payments.odcs.yaml").read_text()
    assert parse_contract(text.replace("ceastwood", "someone")).fingerprint == contract.fingerprint
    assert parse_contract(text.replace("A description", "Another")).fingerprint == contract.fingerprint
    assert parse_contract(text.replace("numeric(18,4)", "numeric(18,3)")).fingerprint != contract.fingerprint


def test_it_is_read_from_any_of_beams_filesystems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (FILES / "shop.odcs.yaml").read_bytes()
    opened = []

    def open_(path: str, **options: object) -> object:
        opened.append(path)
        return (FILES / "shop.odcs.yaml").open("rb")

    assert text
    monkeypatch.setattr(FileSystems, "open", staticmethod(open_))
    assert read_contract("gs://bucket/shop.odcs.yaml#orders").names == ("id", "placed_at")
    assert opened == ["gs://bucket/shop.odcs.yaml"]
    assert read_contract(f"file://{FILES / 'clickstream.odcs.yaml'}").name == "page_views"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "there is no such file"),
        (b"\xff\xfea", "line 1: not UTF-8: byte 0xff"),
        (b"", "line 1: the text is empty"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "a.odcs.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ContractError) as raised:
        read_contract(path)
    assert raised.value.source == str(path)
    assert raised.value.findings == [complaint]


def test_a_directory_and_an_unknown_filesystem_are_usage_errors(tmp_path: Path) -> None:
    for path in (str(tmp_path), "nosuch://bucket/a.yaml"):
        with pytest.raises(UsageError, match="can't be read"):
            read_contract(path)


def test_a_local_file_with_a_hash_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a#b.yaml"
    path.write_text(f"{HEAD}      - {{name: a, logicalType: string}}")
    assert read_contract(path).names == ("a",)


def test_five_hundred_rich_fields_take_less_than_a_second() -> None:
    rich = """
      - name: field_{i}
        businessName: Field {i}
        description: A field that says what it is about
        logicalType: string
        physicalType: varchar(20)
        required: true
        classification: public
        tags: [a, b, c]
        enum: [{{value: ABCD, description: one}}, {{value: EFGH}}]
        logicalTypeOptions: {{minLength: 2, maxLength: 20, pattern: "^[A-Z]{{4}}$"}}
        authoritativeDefinitions: [{{type: businessDefinition, url: https://example.com/{i}}}]
        customProperties: [{{property: onFailure, value: warn}}, {{property: other, value: {{a: 1}}}}]"""
    text = HEAD + "".join(rich.format(i=i) for i in range(500))
    assert len(parse_contract(text).fields) == 500
    started = time.process_time()
    parse_contract(text)
    assert time.process_time() - started < 1


def test_beam_is_not_imported_to_read_a_local_contract() -> None:
    import subprocess
    import sys

    program = f"""
import sys
from beam_pipelines.contract import read_contract
read_contract({str(FILES / "payments.odcs.yaml")!r})
print(sorted({{"apache_beam", "pandas", "pydantic"}} & sys.modules.keys()))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
    assert beam.__version__
