"""Which rows of a database's table are read, and in how many parts, as options of its URI."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from typing import Any

from beam_pipelines.ingest.tables.conditions import parse_condition
from beam_pipelines.options import option
from beam_pipelines.uris import Uri

PART_BYTES = 64 << 20
"""Bytes of a table in one part, on the server's disk: some seconds of reading."""

MAX_PARTS = 1_000

SAMPLE_ROWS = 30_000
"""Rows by which ranges are chosen, about; of few parts each is then within some percent of its share."""


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """Options of a database's URI that is read."""

    parts: int | None = option("In how many parts the table is read. Default: one for each 64 MiB.", default=None)
    split: str | None = option(
        "Column by whose ranges the table is split. Default: the primary key if it is a number or a time.", default=None
    )
    where: str | None = option("Condition of the rows that are read, in SQL, without subqueries.", default=None)
    watermark: str | None = option(
        "Column that grows with each change, such as updated_at: only rows after ?after are read.", default=None
    )
    after: str | None = option(
        "The watermark that was read up to before. Default: rows are read from the first on.", default=None
    )
    until: str | None = option(
        "The watermark up to which rows are read, itself included. Default: the greatest when reading starts.",
        default=None,
    )


def read_condition(uri: Uri, options: ReadOptions, dialect: str) -> str | None:
    """The condition that ?where is, in a dialect of sqlglot's. UsageError for options that contradict each other."""
    if options.watermark is None and (options.after or options.until):
        raise uri.refuse("?after and ?until are for nothing without ?watermark=COLUMN")
    if options.parts is not None and not 1 <= options.parts <= MAX_PARTS:
        raise uri.refuse(f"?parts: {options.parts} is not allowed: 1 to {MAX_PARTS:,}")
    if options.parts == 1 and options.split:
        raise uri.refuse("?split is for nothing with ?parts=1")
    try:
        return None if options.where is None else parse_condition(options.where, dialect)
    except ValueError as wrong:
        raise uri.refuse(f"?where: {wrong}") from None


def parts_for(size: int) -> int:
    """In how many parts a table of so many bytes is read.

    >>> parts_for(0), parts_for(640 << 20)
    (1, 10)
    """
    return min(MAX_PARTS, max(1, round(size / PART_BYTES)))


def ranges(split: str, ends: Sequence[str], shared: dict[str, Any]) -> list[str]:
    """Parts by the ranges of a column that end at these values; the last has no end.

    >>> ranges("id", ["10"], {})
    ['{"split":"id","range":[null,"10"]}', '{"split":"id","range":["10",null]}']
    """
    bounds = itertools.pairwise([None, *ends, None])
    return [part_text({**shared, "split": split, "range": each}) for each in bounds]


def part_text(part: dict[str, Any]) -> str:
    """A part as JSON, as `__source` tells it."""
    return json.dumps(part, separators=(",", ":"))
