"""The schemas made of a contract are what other systems take, and its rows are what these schemas take."""

import io
import json
import re
from pathlib import Path
from typing import Any

import fastavro
import jsonschema
import pyarrow as pa
import pytest
from google.cloud.bigquery import SchemaField
from hypothesis import HealthCheck, given, settings
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema

from beam_pipelines.contract import (
    Contract,
    Field,
    read_contract,
    to_avro,
    to_bigquery,
    to_iceberg,
    to_json_schema,
)  # fmt: skip
from beam_pipelines.contract.samples import sample_rows
from beam_pipelines.errors import ContractError
from tests.contract.test_samples import judged
from tests.contract.test_writer import contracts

FILES = Path(__file__).parent / "files"
NESTED = Contract(
    "nested things",
    (
        Field("id", pa.int32(), required=True, description="which"),
        Field.array(
            "lines",
            Field.object("item", [Field("price", pa.decimal128(12, 2), required=True), Field("day", pa.date32())]),
            required=True,
        ),
        Field.map("tags", Field("key", pa.string()), Field("value", pa.float64(), required=True)),
        Field.object("deep", [Field.array("numbers", Field("item", pa.int64()))]),
        Field("at", pa.timestamp("us", "UTC"), event_time=True),
    ),
)
SAMPLED = [NESTED, *(read_contract(FILES / f"{name}.odcs.yaml") for name in ("order_lines", "clickstream", "payments"))]


def good(contract: Contract) -> pa.RecordBatch:
    return judged(list(sample_rows(contract, 50, seed=1)), contract).good.select(contract.names)


@pytest.mark.parametrize("contract", SAMPLED, ids=lambda contract: contract.name)
def test_rows_written_by_the_avro_schema_are_read_back(contract: Contract) -> None:
    rows = good(contract).to_pylist(maps_as_pydicts="strict")
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(to_avro(contract)), rows, strict=True)
    file.seek(0)
    assert list(fastavro.reader(file)) == rows


@pytest.mark.parametrize("contract", SAMPLED, ids=lambda contract: contract.name)
def test_the_json_schema_takes_good_rows_and_refuses_bad_ones(contract: Contract) -> None:
    schema = to_json_schema(contract)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    samples = list(sample_rows(contract, 200, bad_rate=0.5, seed=1))
    assert all(validator.is_valid(sample.row) for sample in samples if sample.breaks is None)
    texts = {
        field.source_name
        for field in contract.fields
        if pa.types.is_temporal(field.type) or pa.types.is_decimal(field.type)
    }
    told = [
        sample.breaks == "type" and all(sample.row.get(name) != "no value of its type" for name in texts)
        for sample in samples
    ]
    assert any(told)
    assert not any(validator.is_valid(sample.row) for sample, one in zip(samples, told, strict=True) if one)


@pytest.mark.parametrize("contract", SAMPLED, ids=lambda contract: contract.name)
def test_iceberg_reads_its_schema_as_the_arrow_schema(contract: Contract) -> None:
    schema = Schema.model_validate(to_iceberg(contract))
    assert schema.highest_field_id == len(schema._lazy_id_to_name)
    assert sorted(schema.identifier_field_names()) == sorted(contract.primary_key)
    batch = good(contract)
    table = pa.Table.from_pylist(batch.to_pylist(), schema_to_pyarrow(schema, include_field_ids=False))
    assert table.to_pylist() == batch.to_pylist()


@pytest.mark.parametrize("contract", SAMPLED, ids=lambda contract: contract.name)
def test_bigquery_takes_its_schema(contract: Contract) -> None:
    described = to_bigquery(contract)
    fields = [SchemaField.from_api_repr(each) for each in described]
    assert [field.name for field in fields] == list(contract.names)
    assert [field.to_api_repr() for field in fields] == described
    required = {field.name for field in contract.fields if field.required or field.event_time}
    assert {field.name for field in fields if field.mode == "REQUIRED"} == {
        name for name in required if not pa.types.is_list(contract.field(name).type)
    }


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(contracts())
def test_every_contract_has_a_schema_or_is_told_why_not(contract: Contract) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(to_json_schema(contract))))
    Schema.model_validate_json(json.dumps(to_iceberg(contract)))
    for make, take in ((to_avro, fastavro.parse_schema), (to_bigquery, _bigquery)):
        schema, complaint = _made(make, contract)
        if complaint:
            assert re.search("a name in|arrays in arrays|keys of a map", complaint)
        else:
            take(schema)


def _made(make: Any, contract: Contract) -> tuple[Any, str]:
    try:
        return make(contract), ""
    except ContractError as error:
        return None, str(error)


def _bigquery(described: list[dict[str, Any]]) -> None:
    for each in described:
        SchemaField.from_api_repr(each)


@pytest.mark.parametrize(
    ("make", "field", "complaint"),
    [
        (to_avro, Field("a b", pa.string()), "a name in Avro"),
        (to_avro, Field("a", pa.binary()), "no word for binary"),
        (to_bigquery, Field("_PARTITION", pa.string()), "a name in BigQuery"),
        (to_bigquery, Field.array("a", Field.array("item", Field("item", pa.int64()))), "no arrays in arrays"),
        (to_iceberg, Field("a", pa.int8()), "no word for int8"),
    ],
)
def test_what_a_system_cannot_have_is_told(make: Any, field: Field, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        make(Contract("c", (field,)))
