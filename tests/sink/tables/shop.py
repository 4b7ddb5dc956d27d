"""An Iceberg catalog of the test's own, in SQLite, with files in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.sql import SqlCatalog


class Shop:
    """What tests say to the catalog. `options` of URIs reach it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = {"catalog_uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}
        self.catalog = load_catalog(
            "shop", type="sql", uri=self.where["catalog_uri"], warehouse=self.where["warehouse"]
        )
        assert isinstance(self.catalog, SqlCatalog)
        self.catalog.create_namespace_if_not_exists("sales")

    def uri(self, table: str = "orders", **options: object) -> str:
        asked = {**self.where, **options}
        return f"iceberg://shop/sales.{table}?" + "&".join(
            f"{name}={quote(str(value).lower() if isinstance(value, bool) else str(value))}"
            for name, value in asked.items()
        )

    def make(self, schema: pa.Schema, table: str = "orders") -> Any:
        return self.catalog.create_table(f"sales.{table}", schema)

    def open(self, table: str = "orders") -> Any:
        return self.catalog.load_table(f"sales.{table}")

    def rows(self, table: str = "orders", **scan: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.open(table).scan(**scan).to_arrow().to_pylist()
        return found

    def ids(self, table: str = "orders") -> list[int]:
        return sorted(row["id"] for row in self.rows(table))

    def close(self) -> None:
        self.catalog.engine.dispose()  # type: ignore[attr-defined]
