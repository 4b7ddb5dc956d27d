"""The stores there are: which module reads the tables of which URI."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from beam_pipelines.ingest.tables.table import Table
from beam_pipelines.uris import Uri, parse_uri

STORES: dict[str, str] = {
    "bigquery": "beam_pipelines.ingest.tables.bigquery",
    **dict.fromkeys(("delta", "delta+s3", "delta+gs", "delta+abfss"), "beam_pipelines.ingest.tables.delta"),
    "iceberg": "beam_pipelines.ingest.tables.iceberg",
    "mariadb": "beam_pipelines.ingest.tables.databases.mysql",
    "mysql": "beam_pipelines.ingest.tables.databases.mysql",
    "postgresql": "beam_pipelines.ingest.tables.databases.postgresql",
    "sqlalchemy": "beam_pipelines.ingest.tables.databases.sqlalchemy",
}
"""Scheme → module whose `table_of(uri, columns)` makes the table; imported when needed, for its client."""


def table_of(uri: str | Uri, columns: Sequence[str] | None = None) -> Table:
    """The table that a URI names, of which some columns are read, or all.

    UsageError for a scheme of no store, and for options that aren't the store's.
    """
    uri = parse_uri(uri, STORES) if isinstance(uri, str) else uri
    wanted = None if columns is None else tuple(columns)
    table: Table = importlib.import_module(STORES[uri.scheme]).table_of(uri, wanted)
    return table
