"""Events in files → validated, masked rows and windowed aggregates in a lake, every row accounted for.

Reads JSON Lines and CSV, plain or compressed, judges each row by a data contract, removes duplicates
and hides what the contract says, aggregates over event-time windows, and writes rows, aggregates and
dead letters as Parquet with a balance and a manifest.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.options import option


def _one_character(text: str) -> None:
    if len(text) != 1 and text != r"\t":
        raise ValueError(r"is one character, or \t for a tab")


@dataclasses.dataclass(frozen=True)
class EventAnalyticsOptions:
    """What `event_analytics` can be told."""

    input: tuple[str, ...] = option(
        "Files to read, on any file system Beam knows; several patterns are separated by commas.",
        group="input",
        metavar="GLOB",
        param_type="GCS_READ_FILE",
    )
    contract: str = option(
        "Open Data Contract Standard file (v3, YAML) that describes a row.",
        group="input",
        metavar="FILE",
        param_type="GCS_READ_FILE",
    )
    format: Literal["auto", "jsonl", "csv"] = option(
        "What the files hold; auto tells by content, then by suffix.",
        default="auto",
        group="input",
        param_type="ENUM",
    )
    compression: Literal["auto", "none", "gzip", "zstd"] = option(
        "How the files are compressed; auto tells by content.",
        default="auto",
        group="input",
        param_type="ENUM",
    )
    csv_delimiter: str = option(
        r"The character between CSV fields; \t is a tab.", default=",", check=_one_character, group="input"
    )
    csv_nulls: tuple[str, ...] = option(
        "Words that mean null in an unquoted CSV field, separated by commas; an empty field always does.",
        default=(),
        metavar="WORDS",
        group="input",
    )
    csv_header: bool = option(
        "CSV files start with a header; without one their columns are the contract's, in its order.",
        default=True,
        group="input",
        param_type="BOOLEAN",
    )
    output: str = option(
        "Folder of the lake: rows/, aggregates/, dead_letters/ and _runs/ are below it.",
        group="output",
        metavar="FOLDER",
        param_type="GCS_WRITE_FOLDER",
    )
    run_id: str | None = option(
        "Name of this run; a run that is already committed under it is not repeated. Default: made from the time.",
        default=None,
        group="output",
        metavar="ID",
    )
    dead_letter_output: str | None = option(
        "Another folder for dead letters, which hold raw payloads: as sensitive as the input. Default: the output.",
        default=None,
        group="output",
        metavar="FOLDER",
        param_type="GCS_WRITE_FOLDER",
    )
    dead_letter_format: Literal["parquet", "jsonl"] = option(
        "File format of dead letters.",
        default="parquet",
        group="output",
        param_type="ENUM",
    )
    window: str = option(
        "Event-time window of the aggregates: fixed:1h, sliding:1h/5m (size/period), session:30m (gap, by group), "
        "calendar:day@Europe/Berlin (or week, month, quarter, year) or none.",
        default="none",
        group="aggregate",
        metavar="WINDOW",
    )
    event_time: str | None = option(
        "Column of a row's event time. Default: the field that the contract marks with eventTime: true.",
        default=None,
        group="aggregate",
        metavar="COLUMN",
    )
    group_by: tuple[str, ...] = option(
        "Columns to group by, separated by commas.", default=(), group="aggregate", metavar="COLUMNS"
    )
    aggregate: str | None = option(
        "SQL aggregates over the contract's columns: 'count(*) as events, sum(price * quantity) as revenue'. "
        "Default: none, only rows are written.",
        default=None,
        group="aggregate",
        metavar="SQL",
    )
    aggregate_shards: int | None = option(
        "Parts in which the groups of a window are merged; more suit millions of groups in one window. "
        "Default: 1 with windows, 4 without.",
        default=None,
        group="aggregate",
        param_type="NUMBER",
    )
    mask_key_file: str | None = option(
        "File that holds the pseudonym key as KEY_ID:HEX. Default: the environment's BEAM_PIPELINES_MASK_KEY.",
        default=None,
        group="mask",
        metavar="FILE",
        param_type="GCS_READ_FILE",
    )


OPTIONS = EventAnalyticsOptions
