"""docs/stores.md names every option of Iceberg's and Delta's URIs, and none that isn't one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from beam_pipelines.delta.place import StorageOptions
from beam_pipelines.iceberg.catalog import CatalogOptions
from beam_pipelines.ingest.tables import delta as delta_source
from beam_pipelines.ingest.tables import iceberg as iceberg_source
from beam_pipelines.options import specs
from beam_pipelines.sink.tables.known import options_of

PAGE = (Path(__file__).parents[2] / "docs/stores.md").read_text()


def _section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def _named(text: str) -> set[str]:
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}


@pytest.mark.parametrize(
    ("section", "options", "common"),
    [
        ("Iceberg, written", options_of("iceberg"), CatalogOptions),
        ("Iceberg, read", iceberg_source.OPTIONS, CatalogOptions),
        ("Iceberg, both", CatalogOptions, None),
        ("Delta, written", options_of("delta"), StorageOptions),
        ("Delta, read", delta_source.OPTIONS, StorageOptions),
    ],
)
def test_each_option_is_told_and_nothing_else(section: str, options: type, common: type | None) -> None:
    left_out = {spec.name for spec in specs(common)} if common else set()
    assert _named(_section(section)) == {spec.name for spec in specs(options)} - left_out
