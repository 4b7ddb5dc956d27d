"""A contract as the schemas of other systems. Pure functions: none of them imports what it is for."""

from beam_pipelines.contract.schemas.avro import to_avro
from beam_pipelines.contract.schemas.bigquery import to_bigquery
from beam_pipelines.contract.schemas.iceberg import to_iceberg
from beam_pipelines.contract.schemas.json_schema import to_json_schema

__all__ = ["to_avro", "to_bigquery", "to_iceberg", "to_json_schema"]
