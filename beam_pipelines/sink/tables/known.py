"""The stores there are: which module writes the tables of which URI."""

from __future__ import annotations

import dataclasses
import importlib

import pyarrow as pa

from beam_pipelines.sink.tables.table import Table
from beam_pipelines.uris import Uri, parse_uri

STORES: dict[str, str] = {
    "bigquery": "beam_pipelines.sink.tables.bigquery.table",
    **dict.fromkeys(("delta", "delta+s3", "delta+gs", "delta+abfss"), "beam_pipelines.sink.tables.delta.table"),
    "iceberg": "beam_pipelines.sink.tables.iceberg.table",
    "mariadb": "beam_pipelines.sink.tables.databases.mysql",
    "mysql": "beam_pipelines.sink.tables.databases.mysql",
    "postgresql": "beam_pipelines.sink.tables.databases.postgresql",
    "redshift": "beam_pipelines.sink.tables.databases.redshift",
    "sqlalchemy": "beam_pipelines.sink.tables.databases.sqlalchemy",
}
"""Scheme → module whose `table_of(uri, schema)` makes the table; imported when needed, for its client."""


def table_of(uri: str | Uri, schema: pa.Schema) -> Table:
    """The table that a URI names, for rows of a schema.

    UsageError for a scheme of no store, and for options that aren't the store's.
    """
    uri = parse_uri(uri, STORES) if isinstance(uri, str) else uri
    table: Table = importlib.import_module(STORES[uri.scheme]).table_of(uri, schema)
    return table


def options_of(scheme: str) -> type:
    """The dataclass of a store's options, `OPTIONS` of its module; one without any if it has none."""
    found: type = getattr(importlib.import_module(STORES[scheme]), "OPTIONS", _NoOptions)
    return found


@dataclasses.dataclass(frozen=True)
class _NoOptions:
    pass
