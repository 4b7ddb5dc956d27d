"""CSV records as typed columns: Arrow splits them all at once, records that it must not see are refused.

Each payload is one record of RFC 4180 without its line end. What is decided here:

- columns are found by the header's names, in any order (see `csv_header`); names are case-sensitive;
- an unquoted cell that equals one of the dialect's null words is null, a quoted one never is;
- a quote inside an unquoted cell is a character like any other; a quoted cell must end at a delimiter;
- a record with more or fewer cells than the header is refused, and so is an empty one;
- spaces belong to a string; around values of other types, spaces and tabs don't count;
- a column that the file doesn't have is null, and if required the rows of the file fail `required`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from beam_pipelines.columnar.failures import Failed, Rows, failed
from beam_pipelines.columnar.provenance import EXTRA
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode.bulk import Parsed, verdict
from beam_pipelines.decode.csv_header import Header, read_header
from beam_pipelines.decode.decoded import Decoded, check_contract, mistyped, of_unknown_field, refuse_unknown
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.encoding import not_utf8
from beam_pipelines.decode.text_values import from_text
from beam_pipelines.errors import did_you_mean

INVALID_UTF8 = "csv.invalid_utf8"
MALFORMED = "csv.malformed"
RAGGED = "csv.ragged"
REQUIRED = "required"

_BOM = "\ufeff"
_BOM_BYTES = _BOM.encode()

Mask = npt.NDArray[np.bool_]


def decode_csv_rows(
    payloads: pa.BinaryArray, contract: Contract, dialect: CsvDialect | None = None, header: bytes | None = None
) -> Decoded:
    """Decode payloads, one CSV record each, into the contract's columns.

    `header` is the header record of their file, needed if the dialect has headers (UsageError without).
    Raises ContractViolation for an unknown column if the contract is frozen.

    >>> orders = Contract("orders", (Field("id", pa.int64()), Field("note", pa.string())))
    >>> decoded = decode_csv_rows(pa.array([b'"a, b",1', b"1"]), orders, header=b"note,id")
    >>> decoded.columns["note"].to_pylist(), decoded.found[0].failures.to_pylist()[0]["message"]
    (['a, b', None], 'has 1 cell, the header has 2')
    """
    dialect = dialect or CsvDialect()
    check_contract(contract)
    columns = read_header(header, contract, dialect)
    everything = np.arange(len(payloads))
    if columns.problem is not None:
        rule, message = columns.problem
        empty: dict[str, pa.Array] = {field.name: pa.nulls(len(payloads), field.type) for field in contract.fields}
        if contract.on_schema_change == "evolve":
            empty[EXTRA] = pa.nulls(len(payloads), pa.string())
        return Decoded(empty, [failed(everything, rule, None, message)] if len(payloads) else [])

    keys = {field.source_name for field in contract.fields}
    unknown = [name for name in columns.names if name not in keys]
    if unknown and contract.on_schema_change == "freeze":
        raise refuse_unknown(unknown[0], contract)
    evolves = contract.on_schema_change == "evolve"
    split = _split(payloads, columns, dialect, [name for name in columns.names if evolves or name in keys])

    found = split.found
    typed: dict[str, pa.Array] = {}
    for field in contract.fields:
        if field.source_name in split.cells:
            cells = split.cells[field.source_name]
            parsed = _typed(cells, field)
            found += mistyped(parsed, cells, field)
            typed[field.name] = parsed.values
        else:
            typed[field.name] = pa.nulls(len(payloads), field.type)
            if field.required:
                message = "the file has no such column." + did_you_mean(field.source_name, unknown)
                found.append(failed(split.whole, REQUIRED, field.name, message))
    if evolves:
        typed[EXTRA] = _extra_column({name: split.cells[name] for name in unknown}, len(payloads))
    elif contract.on_schema_change == "discard_row":
        found += [of_unknown_field(split.whole, name) for name in unknown]
    return Decoded(typed, found)


class _Split(NamedTuple):
    """Cells as text by column (null in rows that are refused), rows that could be split, failures."""

    cells: dict[str, pa.StringArray]
    whole: Rows
    found: list[Failed]


def _split(payloads: pa.BinaryArray, header: Header, dialect: CsvDialect, wanted: list[str]) -> _Split:
    width = len(header.names)
    payloads = pc.fill_null(payloads, b"")
    found: list[Failed] = []
    usable = np.ones(len(payloads), np.bool_)

    def refuse(rows: Rows, rule: str, message: str | pa.Array) -> None:
        if len(rows):
            found.append(failed(rows, rule, None, message))
            usable[rows] = False

    undecodable = np.array(not_utf8(payloads), np.int64)
    refuse(undecodable, INVALID_UTF8, "is not UTF-8")
    if len(undecodable):
        payloads = pc.if_else(pa.array(usable), payloads, b"")
    text = payloads.cast(pa.string())
    if not dialect.header and pc.any(pc.starts_with(text, _BOM), min_count=0).as_py():
        text = pc.replace_substring_regex(text, f"^{_BOM}", "")
    for rows, message in _broken(text, dialect):
        refuse(rows[usable[rows]], MALFORMED, message)
    if width > 1:
        empty = np.flatnonzero(pc.equal(text, "").to_numpy(zero_copy_only=False) & usable)
        refuse(empty, RAGGED, f"is empty, {_owner(dialect)} {width} cells")

    candidates = np.flatnonzero(usable)
    cells, ragged, widths = _read(text if usable.all() else text.filter(pa.array(usable)), header, dialect, wanted)
    messages = [f"has {count} cell{'' if count == 1 else 's'}, {_owner(dialect)} {width}" for count in widths]
    refuse(candidates[ragged], RAGGED, pa.array(messages, pa.string()))
    if not usable.all():
        places = np.cumsum(usable) - 1
        spread = pa.array(places, mask=~usable)
        cells = {name: values.take(spread) for name, values in cells.items()}
    return _Split(cells, np.flatnonzero(usable), found)


def _owner(dialect: CsvDialect) -> str:
    return "the header has" if dialect.header else "the contract has"


def _broken(text: pa.StringArray, dialect: CsvDialect) -> list[tuple[Rows, str]]:
    """Rows that are not one record: quotes that don't pair, text after them, line breaks outside of them."""
    quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
    if not dialect.quote:
        return [(_rows(pc.match_substring_regex(text, "[\r\n]")), "a line breaks inside the record")]
    special = pc.match_substring_regex(text, f"[\r\n{quote}]")
    rows = _rows(special)
    if not len(rows):
        return []
    bare = f"(?:[^\r\n{quote}{delimiter}][^\r\n{delimiter}]*)?"
    cell = f"(?:{quote}(?:[^{quote}]|{quote}{quote})*{quote}|{bare})"
    suspects = text.filter(special)
    wrong = pc.invert(pc.match_substring_regex(suspects, f"^{cell}(?:{delimiter}{cell})*$"))
    odd = pc.equal(pc.bit_wise_and(pc.count_substring(suspects, dialect.quote), 1), 1)
    return [
        (rows[_rows(pc.and_(wrong, odd))], "a quote is not closed"),
        (
            rows[_rows(pc.and_not(wrong, odd))],
            "text follows a quoted cell, or a line breaks outside of quotes",
        ),
    ]


def _rows(mask: pa.BooleanArray) -> Rows:
    return np.flatnonzero(mask.to_numpy(zero_copy_only=False))


def _read(
    text: pa.StringArray, header: Header, dialect: CsvDialect, wanted: list[str]
) -> tuple[dict[str, pa.StringArray], Rows, list[int]]:
    """Split well-formed records into cells; also the places of ragged ones, and how many cells they have."""
    ragged: list[tuple[int, int]] = []

    def skip(row: pa.csv.InvalidRow) -> str:
        ragged.append((row.number - 1, row.actual_columns))
        return "skip"

    if not len(text) or not wanted:
        return {name: pa.nulls(len(text), pa.string()) for name in wanted}, np.empty(0, np.int64), []
    lines = pc.binary_join_element_wise(text, "", "\n")
    data = lines.buffers()[2]
    if data[: len(_BOM_BYTES)].to_pybytes() == _BOM_BYTES:
        data = pa.py_buffer(_BOM_BYTES + data.to_pybytes())  # Arrow drops one at the start of what it reads
    table = pa.csv.read_csv(
        pa.BufferReader(data),
        # One block: records are whole however long, and their numbers are those of the rows.
        pa.csv.ReadOptions(use_threads=False, block_size=data.size + 1, column_names=header.names),
        pa.csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        pa.csv.ConvertOptions(
            check_utf8=False,
            column_types=dict.fromkeys(wanted, pa.string()),
            include_columns=wanted,
            null_values=list(dialect.nulls),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    cells = {name: pa.concat_arrays(table.column(name).chunks or [pa.array([], pa.string())]) for name in wanted}
    return cells, np.array([row for row, _ in ragged], np.int64), [count for _, count in ragged]


def _typed(cells: pa.StringArray, field: Field) -> Parsed:
    """Parse cells; what can't be parsed is tried again without the spaces around it."""
    parsed = from_text(cells, field)
    if parsed.invalid is None:
        return parsed
    rest = cells.filter(parsed.invalid)
    trimmed = pc.ascii_trim(rest, " \t")
    again = from_text(trimmed, field)
    values = pc.replace_with_mask(parsed.values, parsed.invalid, again.values)
    return verdict(cells, values)


def _extra_column(cells: dict[str, pa.StringArray], num_rows: int) -> pa.StringArray:
    """Cells of unknown columns, for each row as the text of a JSON object; null cells are left out."""
    names = list(cells)
    texts: list[str | None] = []
    for row in zip(*(values.to_pylist() for values in cells.values()), strict=True):
        known = {name: cell for name, cell in zip(names, row, strict=True) if cell is not None}
        texts.append(msgspec.json.encode(known).decode() if known else None)
    return pa.array(texts, pa.string()) if names else pa.nulls(num_rows, pa.string())
