"""Read, decode and validate what the options name."""

from __future__ import annotations

import dataclasses

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.contract import Contract, read_contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.transform import DecodeBatches
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.ingest.read_dead_letters import ReadDeadLetters
from beam_pipelines.ingest.read_files import ReadFiles
from beam_pipelines.pipelines.option_groups.reading import ReadingOptions
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.validate.transform import ValidateBatches


def contract_of(options: ReadingOptions) -> Contract:
    """The contract, with the event time that the options name."""
    contract = read_contract(options.contract)
    if options.event_time is None:
        return contract
    if options.event_time not in contract.names:
        raise UsageError(
            f"--event_time: {contract.name} has no field '{options.event_time}'."
            + did_you_mean(options.event_time, contract.names)
        )
    fields = [dataclasses.replace(field, event_time=field.name == options.event_time) for field in contract.fields]
    return dataclasses.replace(contract, fields=tuple(fields))


def read_rows(
    pipeline: beam.Pipeline, options: ReadingOptions, contract: Contract, account: Account
) -> beam.PCollection[pa.RecordBatch]:
    """Batches of valid rows."""
    dialect = CsvDialect(
        options.csv_delimiter.replace("\\t", "\t"), nulls=("", *options.csv_nulls), header=options.csv_header
    )
    if options.format == "dead_letters":
        read: beam.PTransform = ReadDeadLetters(options.input)
    else:
        read = ReadFiles(options.input, format=options.format, compression=options.compression, dialect=dialect)
    raw = account.settle("Unreadable", pipeline | "Read" >> read)
    decoded = raw | "Decode" >> DecodeBatches(contract, dialect=dialect)
    return account.settle("Invalid", decoded | "Validate" >> ValidateBatches(contract))
