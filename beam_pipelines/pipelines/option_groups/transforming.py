"""How rows are changed between validating and masking."""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.options import option
from beam_pipelines.window.duration import seconds_of


def _duration(text: str | None) -> None:
    if text is not None:
        seconds_of(text)


@dataclasses.dataclass(frozen=True)
class TransformingOptions:
    """Duplicates, nested values, joins, conditions, derived columns: in this order, whatever theirs is here."""

    deduplicate_keep: Literal["first", "last"] = option(
        "Which row of a key stays, by event time, when the contract says deduplicate. Streams keep the first to come.",
        default="first",
        group="transform",
    )
    deduplicate_for: str | None = option(
        "How long a stream remembers a key, in event time: 1h, 7d. Files need none.",
        default=None,
        group="transform",
        metavar="DURATION",
        check=_duration,
    )
    references: tuple[str, ...] = option(
        "Where the table is that a foreign key of the contract refers to: 'customers=customers.csv', or "
        "'customers=customers.csv contract customers.odcs.yaml'. Rows that refer to nothing in it are dead letters.",
        default=(),
        group="transform",
        metavar="NAME=FILE",
        example="customers=customers.csv",
    )
    flatten: tuple[str, ...] = option(
        "Structs to replace by a column for each of their fields, address_city; * for all of them.",
        default=(),
        group="transform",
        metavar="COLUMNS",
        example="address",
    )
    explode: tuple[str, ...] = option(
        "Arrays to take apart, a row for each element; a row without one stays.",
        default=(),
        group="transform",
        metavar="COLUMNS",
        example="items",
    )
    unpivot: str | None = option(
        "Columns to turn into rows of a name and a value: 'jan, feb into month, sales'.",
        default=None,
        group="transform",
        metavar="SPEC",
        example="jan, feb into month, sales",
    )
    pivot: str | None = option(
        "Rows to turn into columns, one row for each key: 'shop on month (jan, feb) using sales'.",
        default=None,
        group="transform",
        metavar="SPEC",
        example="shop on month (jan, feb) using sales",
    )
    join: tuple[str, ...] = option(
        "Table to look rows up in: '[left|inner|required|references] FILE [contract FILE] on KEY [= TABLE_KEY] "
        "[asof TIME [= TABLE_TIME] [within 3h]] [take (COLUMNS)]'. left keeps rows that find nothing, inner filters "
        "them, required makes them dead letters (references: unless the key is null). Several keys stand in brackets. "
        "FILE may be the URI of a store that is asked by key (docs/join.md).",
        default=(),
        group="transform",
        metavar="SPEC",
        example="airlines.csv on carrier take (name as airline)",
    )
    derive: tuple[str, ...] = option(
        "Column to compute, or to replace: 'net = price * quantity', 'city = coalesce(trim(city), '?')'.",
        default=(),
        group="transform",
        metavar="NAME = SQL",
        example="net = price * quantity",
    )
    mask_derived: tuple[str, ...] = option(
        "Mask of a column that is made from sensitive ones: 'short=redact', or 'domain=none' if it may be shown.",
        default=(),
        group="transform",
        metavar="NAME=MASK",
        example="domain=none",
    )
    where: tuple[str, ...] = option(
        "Condition for a row to stay; several must all hold. It runs as soon as its columns are there.",
        default=(),
        group="transform",
        metavar="SQL",
        example="price > 0 and country in ('DE', 'FR')",
    )
    select: str | None = option(
        "Columns to go on with, as in SQL: 'id, price as net', '* exclude (note)'. Default: all.",
        default=None,
        group="transform",
        metavar="COLUMNS",
        example="* exclude (note)",
    )
