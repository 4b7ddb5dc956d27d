"""Hive partitions: which folder `column=value/` a row belongs to, and how values are spelt there.

Spelling is Hive's (FileUtils.escapePathName): UTF-8 text with control characters and those that mean
something to a path, a URL or a glob as %XX; `__HIVE_DEFAULT_PARTITION__` for null. Readers get the
values back when told the columns' types; told nothing, they guess, and read the text '007' as 7.

Known of the format: an empty text is `column=`, which pyarrow and DuckDB read back and Spark refuses;
a text that is itself `__HIVE_DEFAULT_PARTITION__` reads back as null.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"

_ESCAPED = re.compile(r"""[\x00-\x1f\x7f"#%'*/:=?\\{}\[\]^]""")

MAX_NAME_BYTES = 255
"""Bytes in one folder name, on every common file system."""


def check_partition_columns(schema: pa.Schema, columns: Sequence[str]) -> None:
    """UsageError when rows of this schema can't be partitioned so, naming the column and what is allowed."""
    for name in columns:
        if name not in schema.names:
            raise UsageError(f"partition column '{name}' is not a column.{did_you_mean(name, schema.names)}")
        if name.startswith(("_", ".")):
            raise UsageError(f"partition column '{name}': readers skip folders whose names start with '{name[0]}'")
        kind = schema.field(name).type
        if not (
            pa.types.is_string(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_integer(kind)
            or pa.types.is_decimal(kind)
            or pa.types.is_date(kind)
            or pa.types.is_timestamp(kind)
        ):
            raise UsageError(
                f"partition column '{name}' is of type {kind}; it may be a string, boolean, integer, decimal, "
                "date or timestamp"
            )
    if len(set(columns)) < len(columns):
        raise UsageError(f"partition columns {', '.join(columns)}: one is named twice")
    if columns and len(columns) == len(schema):
        raise UsageError("every column is a partition column; files need at least one column of their own")


def by_partition(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Cut a batch by the values of its partition columns into (folder, rows without these columns).

    Rows keep their order. Pieces are copies: none keeps the whole batch in memory.

    >>> batch = pa.record_batch({"country": ["DE", "FR", "DE"], "id": [1, 2, 3]})
    >>> [(folder, piece.to_pydict()) for folder, piece in by_partition(batch, ["country"])]
    [('country=DE', {'id': [1, 3]}), ('country=FR', {'id': [2]})]
    """
    if batch.num_rows == 0:
        return
    body = batch.select([name for name in batch.schema.names if name not in columns])
    if not columns:
        yield "", body
        return
    groups = np.zeros(batch.num_rows, np.int64)
    for name in columns:
        found = batch.column(name).dictionary_encode(null_encoding="encode")
        codes = found.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        # Made dense again after each column, so that the product of two never overflows.
        _, groups = np.unique(groups * len(found.dictionary) + codes, return_inverse=True)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    firsts = batch.select(list(columns)).take(pa.array(order[starts]))
    folders = ["/".join(parts) for parts in zip(*(_names(name, firsts.column(name)) for name in columns), strict=True)]
    if len(folders) == 1:
        yield folders[0], body
        return
    for folder, start, end in zip(folders, starts, [*starts[1:], batch.num_rows], strict=True):
        yield folder, body.take(pa.array(order[start:end]))


def null_folder(columns: Sequence[str]) -> str:
    """The folder of rows that have none of the values."""
    return "/".join(f"{escape(name)}={NULL_PARTITION}" for name in columns)


def values_of(path: str) -> dict[str, str | None]:
    """Read the partition values in a path.

    >>> values_of("rows/country=DE/city=Frankfurt%2FMain/a.parquet")
    {'country': 'DE', 'city': 'Frankfurt/Main'}
    """
    pairs = (folder.partition("=") for folder in path.split("/")[:-1])
    return {
        unescape(name): None if text == NULL_PARTITION else unescape(text) for name, equals, text in pairs if equals
    }


def escape(text: str) -> str:
    """Spell a name or value for a path.

    >>> escape("a/b=c é")
    'a%2Fb%3Dc é'
    """
    return _ESCAPED.sub(lambda found: f"%{ord(found.group()):02X}", text)


def unescape(text: str) -> str:
    """Read what `escape` wrote."""
    return urllib.parse.unquote(text)


def _names(name: str, values: pa.Array) -> Iterator[str]:
    """The folder's name for each value of one column."""
    for text in texts_of(values):
        folder = f"{escape(name)}={NULL_PARTITION if text is None else escape(text)}"
        if len(folder.encode()) > MAX_NAME_BYTES:
            raise UsageError(
                f"partition column '{name}' holds a value of {len(folder.encode())} bytes as a folder's name, where "
                f"{MAX_NAME_BYTES} are allowed: partition by a shorter column"
            )
        yield folder


def texts_of(values: pa.Array) -> list[str | None]:
    """Values as text: ISO 8601 for dates and times, digits without an exponent for decimals."""
    if pa.types.is_decimal(values.type):
        numbers: list[Decimal | None] = values.to_pylist()
        return [None if number is None else f"{number:f}" for number in numbers]
    texts: list[str | None] = values.cast(pa.string()).to_pylist()
    if pa.types.is_timestamp(values.type):
        return [None if text is None else re.sub(r"\.0+(?=Z?$)", "", text.replace(" ", "T")) for text in texts]
    return texts
