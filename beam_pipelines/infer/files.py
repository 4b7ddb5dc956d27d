"""The first rows of a file of any format as columns, and the contract that they suggest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec
import pyarrow as pa

from beam_pipelines.columnar.provenance import CSV_HEADER, FAILURES, PAYLOAD, RECORD, RECORD_FORMAT
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.guess import Column, Guess, guess_contract
from beam_pipelines.contract.guess.contracts import finish_contract
from beam_pipelines.contract.guess.fields import ASSUMED_ZONE, Guessed
from beam_pipelines.contract.model import Contract
from beam_pipelines.contract.values import TIMESTAMP, is_supported
from beam_pipelines.decode.csv_header import NO_KNOWN_COLUMN, read_header
from beam_pipelines.decode.csv_rows import decode_csv_rows
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.content import ReadOptions, read_content
from beam_pipelines.ingest.inputs import list_inputs, open_input

SAMPLE_ROWS = 10_000
"""Rows looked at: enough to see what is rare, in a second or two."""

_NULL_WORDS = ("NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "NaN", "nan", r"\N", "-")
"""What programs write for null."""

_MISFITS: tuple[tuple[Any, pa.DataType], ...] = (
    (pa.types.is_large_string, pa.string()),
    (pa.types.is_string_view, pa.string()),
    (pa.types.is_uint32, pa.int64()),
    (pa.types.is_uint64, pa.decimal128(20, 0)),
    (pa.types.is_integer, pa.int32()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_date, pa.date32()),
    (pa.types.is_timestamp, TIMESTAMP),
)
"""Types of files that a contract has another for, which takes all their values."""


def infer_contract(
    path: str,
    format: str = "auto",
    compression: str = "auto",
    delimiter: str = ",",
    rows: int = SAMPLE_ROWS,
    nulls: Sequence[str] = (),
) -> Guess:
    """Look into the first file of a pattern, and make a contract of its first rows.

    UsageError when there is no file, when it holds no rows, or when none of them can be read.
    """
    options = ReadOptions(format=format, compression=compression, dialect=CsvDialect(delimiter, nulls=("", *nulls)))
    first = list_inputs(path, "DATA")[0].path
    with open_input(first) as file:
        batches = list(_first(read_content(file, first, options), rows))
    if not batches:
        raise UsageError(f"'{first}' has no rows to tell what they are")
    name = re.sub(r"[^A-Za-z0-9_]+", "_", PurePosixPath(first).name.split(".")[0]).strip("_") or "rows"
    if RECORD in batches[0].schema.names:
        return _of_columns(name, batches)
    said = (batches[0].schema.metadata or {}).get(RECORD_FORMAT, b"").decode()
    if said == "csv":
        return _of_csv(name, batches, options)
    if said == "jsonl":
        return _of_json(name, first, batches)
    raise UsageError(f"'{first}' is {said}, of which a contract can't be inferred: JSON, CSV, Parquet, Avro or ORC can")


def _first(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if FAILURES in batch.schema.names:
            continue  # what can't be read as records tells nothing
        yield batch.slice(0, rows)
        rows -= batch.num_rows
        if rows <= 0:
            return


def _of_json(name: str, path: str, batches: list[pa.RecordBatch]) -> Guess:
    objects = []
    for batch in batches:
        for payload in batch.column(PAYLOAD).to_pylist():
            try:
                value = msgspec.json.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if isinstance(value, dict):
                objects.append(value)
    if not objects:
        raise UsageError(f"'{path}' has no JSON object in the rows looked at")
    keys = list(dict.fromkeys(key for each in objects for key in each))
    columns = [Column(key, [each.get(key) for each in objects]) for key in keys]
    return guess_contract(name, columns, len(objects))


def _of_csv(name: str, batches: list[pa.RecordBatch], options: ReadOptions) -> Guess:
    header = (batches[0].schema.metadata or {}).get(CSV_HEADER)
    if header is None:
        raise UsageError("a contract of CSV without a header has no names for its columns: add one")
    names = _names(header, options.dialect)
    fields = (Field(f"c{place}", pa.string(), physical_name=each) for place, each in enumerate(names))
    texts = Contract("texts", tuple(fields))
    columns: list[list[Any]] = [[] for _ in names]
    for batch in batches:
        decoded = decode_csv_rows(batch.column(PAYLOAD), texts, options.dialect, header)
        wrong = {row for part in decoded.found for row in part.rows.tolist()}
        for column, values in zip(columns, decoded.columns.values(), strict=True):
            column += [value for row, value in enumerate(values.to_pylist()) if row not in wrong]
    rows = len(columns[0]) if columns else 0
    found = guess_contract(
        name, [Column(each, column, True) for each, column in zip(names, columns, strict=True)], rows
    )
    return Guess(found.contract, [*_of_nulls(columns), *found.notes])


def _of_nulls(columns: list[list[Any]]) -> Iterator[str]:
    """Words that may mean null: one that does, unsaid, makes texts of numbers."""
    has = [set(column) for column in columns]
    for word in _NULL_WORDS:
        count = sum(word in values for values in has)
        if count:
            where = "1 column" if count == 1 else f"{count} columns"
            yield f"{word} is a value in {where}: if it means null, infer and run with --csv_nulls '{word}'"


def _names(header: bytes, dialect: CsvDialect) -> list[str]:
    """The names of a header, of which nothing is known yet."""
    read = read_header(header, Contract("unknown", (Field("?", pa.string()),)), dialect)
    if read.problem is not None and read.problem[0] != NO_KNOWN_COLUMN:
        raise UsageError(f"the file's header can't be read: {read.problem[1]}")
    others = [each for each in (";", "\t", "|", ",") if each != dialect.delimiter and each.encode() in header]
    if len(read.names) == 1 and others:
        told = "\\t" if others[0] == "\t" else others[0]
        raise UsageError(f"by '{dialect.delimiter}' the file has one column: try --csv_delimiter '{told}'")
    return list(read.names)


def _of_columns(name: str, batches: list[pa.RecordBatch]) -> Guess:
    """Files with columns have types: they are taken as far as a contract has them."""
    kind = batches[0].column(RECORD).type
    guesses, columns, notes, rows = [], [], [], sum(batch.num_rows for batch in batches)
    for field in kind:
        guess = _of_type(field.name, field.type)
        if guess is None:
            notes.append(f"{field.name}: left out, since a contract has no word for {field.type}")
            continue
        values = [each for batch in batches for each in _values(batch.column(RECORD), field.name, field.type)]
        guesses.append(guess)
        columns.append(Column(field.name, values))
    if not guesses:
        raise UsageError(f"{name}: a contract has no word for the type of any of its columns")
    found = finish_contract(name, guesses, columns, rows)
    return Guess(found.contract, [*notes, *found.notes])


def _values(records: pa.StructArray, name: str, kind: pa.DataType) -> list[Any]:
    values = records.flatten()[records.type.get_field_index(name)]
    if pa.types.is_temporal(kind) or pa.types.is_nested(kind):
        return [True if there else None for there in values.is_valid().to_pylist()]  # only nulls matter
    return list(values.to_pylist())


def _of_type(name: str, kind: pa.DataType) -> Guessed | None:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        inner = [_of_type(each.name, each.type) for each in kind]
        if not inner or any(each is None or set('.[]"') & set(each.field.name) for each in inner):
            return None
        return Guessed(Field.object(name, [each.field for each in inner if each is not None]), [])
    if pa.types.is_map(kind):
        key, value = _of_type("key", kind.key_type), _of_type("value", kind.item_type)
        return None if key is None or value is None else Guessed(Field.map(name, key.field, value.field), [])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        item = _of_type("item", kind.value_type)
        return None if item is None else Guessed(Field.array(name, item.field), [])
    if is_supported(kind):
        return Guessed(Field(name, kind), [])
    taken = next((ours for is_kind, ours in _MISFITS if is_kind(kind)), None)
    if taken is None:
        return None
    if pa.types.is_timestamp(kind) and kind.tz is None:
        told = f"{name}: times carry no zone; UTC is assumed (defaultTimezone)"
        return Guessed(Field(name, taken, default_timezone=ASSUMED_ZONE), [told])
    return Guessed(Field(name, taken), [])
