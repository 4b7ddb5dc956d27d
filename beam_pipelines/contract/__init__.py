"""What a row is: the one description of a data set, read from a file or built in Python."""

from beam_pipelines.contract.findings import Finding
from beam_pipelines.contract.lint import lint, lint_contract
from beam_pipelines.contract.model import Contract, Field, Mask
from beam_pipelines.contract.odcs import parse_contract, read_contract, to_odcs
from beam_pipelines.contract.relations import Measure, Relationship
from beam_pipelines.contract.rules import QualityRule
from beam_pipelines.contract.schemas import to_avro, to_bigquery, to_iceberg, to_json_schema

__all__ = [
    "Contract",
    "Field",
    "Finding",
    "Mask",
    "Measure",
    "QualityRule",
    "Relationship",
    "lint",
    "lint_contract",
    "parse_contract",
    "read_contract",
    "to_avro",
    "to_bigquery",
    "to_iceberg",
    "to_json_schema",
    "to_odcs",
]
