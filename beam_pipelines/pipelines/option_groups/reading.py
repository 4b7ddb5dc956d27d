"""Which records are read, and what they mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from beam_pipelines.errors import UsageError
from beam_pipelines.options import Parent, option

_CSV = Parent("format", ("auto", "csv", "dead_letters"))
_XML = Parent("format", ("auto", "xml", "dead_letters"))
_FIXED = Parent("format", ("fixed", "dead_letters"))


def _one_character(text: str) -> None:
    if len(text) != 1 and text != r"\t":
        raise ValueError(r"is one character, or \t for a tab")


def _row_path(text: str) -> None:
    from beam_pipelines.ingest.xml_records import check_row_path

    _said(check_row_path, text)


def _layout(text: str) -> None:
    from beam_pipelines.decode.fixed_width import FixedWidthLayout

    _said(FixedWidthLayout.parse, text)


def _said(check: Callable[[str], object], text: str) -> None:
    """What is wrong, without the option's name: that is said already."""
    try:
        check(text)
    except UsageError as wrong:
        raise ValueError(str(wrong).partition(": ")[2]) from None


@dataclasses.dataclass(frozen=True)
class ReadingOptions:
    """Files of records and the contract that describes them."""

    input: tuple[str, ...] = option(
        "Files to read, on any file system Beam knows, or URIs of queues and tables (docs/uris.md); several are "
        "separated by commas.",
        group="input",
        metavar="GLOB",
        param_type="GCS_READ_FILE",
        example="gs://my-bucket/events/*.jsonl.gz",
    )
    contract: str = option(
        "Open Data Contract Standard file (v3, YAML) that describes a row.",
        group="input",
        metavar="FILE",
        param_type="GCS_READ_FILE",
        example="gs://my-bucket/contracts/events.odcs.yaml",
    )
    format: Literal["auto", "jsonl", "json", "csv", "fixed", "xml", "avro", "parquet", "orc", "dead_letters"] = option(
        "What the files hold; auto tells by content, then by suffix (fixed-width lines it can't tell). "
        "dead_letters: payloads that a run refused.",
        default="auto",
        group="input",
    )
    compression: Literal["auto", "none", "gzip", "zstd", "bzip2"] = option(
        "How the files are compressed; auto tells by content.",
        default="auto",
        group="input",
    )
    csv_delimiter: str = option(
        r"The character between CSV fields; \t is a tab.",
        default=",",
        check=_one_character,
        group="input",
        requires=_CSV,
    )
    csv_nulls: tuple[str, ...] = option(
        "Words that mean null in an unquoted CSV field, separated by commas; an empty field always does.",
        default=(),
        metavar="WORDS",
        group="input",
        requires=_CSV,
    )
    csv_header: bool = option(
        "CSV files start with a header; without one their columns are the contract's, in its order.",
        default=True,
        group="input",
        requires=_CSV,
    )
    xml_row: str | None = option(
        "The XML elements that are rows: a path such as orders/order, or a name. Default: children of the root.",
        default=None,
        group="input",
        metavar="PATH",
        check=_row_path,
        requires=_XML,
    )
    fixed_width: str | None = option(
        "Where fields stand in fixed-width lines, counted from 1: 'id:1-8,note:9-30'.",
        default=None,
        group="input",
        metavar="LAYOUT",
        check=_layout,
        requires=_FIXED,
    )
    event_time: str | None = option(
        "Column of a row's event time. Default: the field that the contract marks with eventTime: true.",
        default=None,
        group="input",
        metavar="COLUMN",
    )
