"""Read, decode and validate what the options name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.contract import Contract, read_contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.fixed_width import FixedWidthLayout
from beam_pipelines.decode.transform import DecodeBatches
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.ingest.inputs import InputFile
from beam_pipelines.ingest.read_dead_letters import ReadDeadLetters
from beam_pipelines.ingest.read_files import ReadFiles
from beam_pipelines.ingest.replay_files import ReplayFiles
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.pipelines.option_groups.reading import ReadingOptions
from beam_pipelines.pipelines.option_groups.streaming import StreamingOptions
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.pipelines.steps.sources import FileReading, ReadSources, columns_of, uris_of
from beam_pipelines.validate.transform import ValidateBatches
from beam_pipelines.window.duration import seconds_of


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


def dialect_of(options: ReadingOptions) -> CsvDialect:
    """How CSV files are written."""
    delimiter = options.csv_delimiter.replace("\\t", "\t")
    return CsvDialect(delimiter, nulls=("", *options.csv_nulls), header=options.csv_header)


def layout_of(options: ReadingOptions) -> FixedWidthLayout | None:
    """Where fields stand in fixed-width lines; UsageError when the lines are said to be such and nothing tells."""
    if options.format == "fixed" and options.fixed_width is None:
        raise UsageError("--fixed_width: says where fields stand, as in 'id:1-8,note:9-30'; --format fixed needs it")
    return None if options.fixed_width is None else FixedWidthLayout.parse(options.fixed_width)


def read_rows(
    pipeline: beam.Pipeline,
    options: ReadingOptions,
    contract: Contract,
    account: Account,
    files: Sequence[InputFile] | None = None,
) -> beam.PCollection[pa.RecordBatch]:
    """Batches of valid rows; of `files` only, if given."""
    dialect, layout = dialect_of(options), layout_of(options)
    read = _source(options, contract, dialect, files)
    raw = account.settle("Unreadable", pipeline | "Read" >> read)
    decoded = raw | "Decode" >> DecodeBatches(contract, dialect=dialect, layout=layout)
    return account.settle("Invalid", decoded | "Validate" >> ValidateBatches(contract))


def _source(
    options: ReadingOptions, contract: Contract, dialect: CsvDialect, files: Sequence[InputFile] | None
) -> beam.PTransform:
    """What reads the input: raw batches, and what can't be read."""
    if options.format == "dead_letters":
        return ReadDeadLetters(options.input)
    uris = uris_of(options.input)
    if uris:
        files_told = FileReading(
            options.format,
            options.compression,
            dialect,
            layout_of(options),
            columns_of(contract),
            options.xml_row,
        )
        return ReadSources(uris, contract, _policy(options), files_told)
    if isinstance(options, StreamingOptions) and options.replay:
        return ReplayFiles(
            options.input,
            contract,
            options.format,
            options.compression,
            dialect,
            out_of_orderness=seconds_of(options.out_of_orderness),
            idle_after=seconds_of(options.idle_after),
            ends=options.replay_ends,
            rows_per_second=options.replay_rate,
            layout=layout_of(options),
            columns=columns_of(contract),
            xml_row=options.xml_row,
        )
    return ReadFiles(
        options.input,
        options.format,
        options.compression,
        dialect,
        columns=columns_of(contract),
        xml_row=options.xml_row,
        files=files,
    )


def _policy(options: ReadingOptions) -> WatermarkPolicy:
    if not isinstance(options, StreamingOptions):
        return WatermarkPolicy()
    return WatermarkPolicy(seconds_of(options.out_of_orderness), seconds_of(options.idle_after))
