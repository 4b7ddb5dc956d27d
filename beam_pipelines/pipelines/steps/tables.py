"""Tables that rows are looked up in: read by the same stages as the input, and trusted wholly or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from beam_pipelines.contract import Contract, Field, read_contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.transform import DecodeBatches
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.inputs import list_inputs, open_input
from beam_pipelines.ingest.read_files import ReadFiles
from beam_pipelines.pipelines.steps.join_grammar import JoinSpec
from beam_pipelines.validate.transform import ValidateBatches

_HEAD = 4 << 20
"""Bytes at the start of a table's file by which its types are told, if it has no contract."""

_TIME = pa.timestamp("us", "UTC")


class Table(NamedTuple):
    """A table's batches, and what is in it: a contract if somebody wrote one, else a schema."""

    batches: beam.PCollection[pa.RecordBatch]
    of: Contract | pa.Schema


def read_table(pipeline: beam.Pipeline, spec: JoinSpec, dialect: CsvDialect, label: str) -> Table:
    """Read a table. A row of it that can't be read or breaks its contract fails the run: it can't be trusted.

    Without a contract the types are told from the start of the first file, and say nothing of what is required.
    """
    contract = table_contract(spec, dialect)
    read = pipeline | f"Read {label}" >> ReadFiles(spec.file, dialect=dialect)
    decoded = read.good | f"Decode {label}" >> DecodeBatches(contract, dialect=dialect)
    valid = decoded | f"Validate {label}" >> ValidateBatches(contract)
    for what, letters in (("unreadable", read.dead_letters), ("invalid", valid.dead_letters)):
        _ = letters | f"Trust {label}: {what}" >> beam.ParDo(_Trust(spec.file, spec.contract is not None))
    return Table(valid.good, contract if spec.contract is not None else contract.schema)


def table_contract(spec: JoinSpec, dialect: CsvDialect) -> Contract:
    """The table's contract, or one made from what its first file begins with."""
    if spec.contract is not None:
        return read_contract(spec.contract)
    file = list_inputs(spec.file, "--join")[0].path
    try:
        schema = _schema_of(file, dialect)
    except (pa.ArrowInvalid, OSError):  # whose text may hold a value
        schema = None
    if schema is None:
        raise UsageError(
            f"--join: the columns of {spec.file} can't be told from its start: describe them in a contract, as in "
            f"'{spec.file} contract table.odcs.yaml on …'"
        )
    return Contract(re.sub(r"\W+", "_", spec.name) or "table", tuple(_field(field) for field in schema))


def _schema_of(path: str, dialect: CsvDialect) -> pa.Schema | None:
    with open_input(path) as file:
        if path.endswith(".parquet"):
            return pyarrow.parquet.read_schema(pa.PythonFile(file, "r"))
        head = file.read(_HEAD)
    if head[:2] == b"\x1f\x8b":
        head = pa.CompressedInputStream(pa.BufferReader(head), "gzip").read(_HEAD)
    whole = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1]
    if re.match(rb"\s*\{", whole):
        return pyarrow.json.read_json(pa.BufferReader(whole)).schema
    if not dialect.header:
        return None
    return pyarrow.csv.read_csv(
        pa.BufferReader(whole),
        parse_options=pyarrow.csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(null_values=list(dialect.nulls), strings_can_be_null=True),
    ).schema


def _field(field: pa.Field) -> Field:
    if pa.types.is_timestamp(field.type):
        return Field(field.name, _TIME, default_timezone="UTC")
    plain = (pa.types.is_int64, pa.types.is_float64, pa.types.is_boolean, pa.types.is_date32, pa.types.is_decimal128)
    kept = any(is_one(field.type) for is_one in plain)
    return Field(field.name, field.type if kept else pa.string())


class _Trust(beam.DoFn):
    def __init__(self, file: str, described: bool) -> None:
        self._file = file
        self._described = described

    def process(self, letters: pa.RecordBatch) -> Iterator[None]:
        first = {name: letters.column(name)[0].as_py() for name in ("source", "position", "rule", "field", "message")}
        where = f"at {first['position']}: " if first["position"] is not None else ""
        field = f"{first['field']} " if first["field"] else ""
        hint = "" if self._described else ". Its types were told from its start: describe it in a contract"
        raise UsageError(
            f"the table {self._file} can't be trusted: {where}{field}{first['message']} ({first['rule']}; "
            f"{letters.num_rows} such rows together){hint}"
        )
        yield
