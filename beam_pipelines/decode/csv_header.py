"""The columns of a CSV file, from its header record or from the contract."""

from __future__ import annotations

import csv
import functools
import io
from typing import NamedTuple

from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import UsageError

MALFORMED_HEADER = "csv.malformed_header"
DUPLICATE_HEADER = "csv.duplicate_header"
NO_KNOWN_COLUMN = "csv.no_known_column"
MISWRITTEN_COLUMN = "csv.miswritten_column"


class Header(NamedTuple):
    """Column names in the order of the file, or the rule that every row of it fails, and why."""

    names: tuple[str, ...]
    problem: tuple[str, str] | None = None


@functools.lru_cache(maxsize=256)
def read_header(record: bytes | None, contract: Contract, dialect: CsvDialect) -> Header:
    """Read a header record; without one in the dialect the columns are the contract's.

    Spaces around names and a byte order mark don't count; a name that is empty becomes `column_N`.
    A header that can't be read, names a column twice, or none that the contract knows (as when the
    file has no header, or another delimiter), is a problem of all rows of the file. Its text isn't
    shown then: it may be data. So is a name that but for case, quotes and spaces would be a field that
    the header lacks, since taking that field for null would lose a column in silence.

    >>> import pyarrow as pa
    >>> from beam_pipelines.contract.model import Field
    >>> orders = Contract("orders", (Field("id", pa.int64()), Field("note", pa.string())))
    >>> read_header(b"note, id ,", orders, CsvDialect()).names
    ('note', 'id', 'column_3')
    """
    keys = tuple(field.source_name for field in contract.fields)
    if not dialect.header:
        return Header(keys)
    if record is None:
        raise UsageError(
            "a batch of CSV records has no 'csv.header' in its schema metadata. Read it with ReadFiles, "
            "or say CsvDialect(header=False) if its columns are the contract's, in the contract's order"
        )
    try:
        cells = _cells(record.decode("utf-8-sig"), dialect)
    except (UnicodeDecodeError, csv.Error):
        return Header((), (MALFORMED_HEADER, "the file's header is no CSV record in UTF-8"))
    names = tuple(cell.strip(" \t") or f"column_{place}" for place, cell in enumerate(cells, 1))
    if not set(names) & set(keys):
        return Header(
            names,
            (
                NO_KNOWN_COLUMN,
                f"none of the header's {len(names)} names is a field of the contract '{contract.name}': "
                f"does the file have a header, and is '{dialect.delimiter}' its delimiter?",
            ),
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return Header(names, (DUPLICATE_HEADER, f"the header names {', '.join(map(repr, twice))} more than once"))
    lacking = {_plain(key): key for key in keys if key not in names}
    for name in names:
        if name not in keys and _plain(name) in lacking:
            field = lacking[_plain(name)]
            return Header(names, (MISWRITTEN_COLUMN, f"the header has {name!r} where the contract has '{field}'"))
    return Header(names)


def _plain(name: str) -> str:
    return name.strip("\"' \t\u00a0").casefold()


def _cells(text: str, dialect: CsvDialect) -> list[str]:
    lines = io.StringIO(text, newline="")
    if dialect.quote:
        records = list(csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True))
    else:
        records = list(csv.reader(lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, strict=True))
    if len(records) != 1:
        raise csv.Error("not one record")
    return records[0]
