"""docs/bigquery.md names every option of BigQuery's URIs, and none that isn't one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from beam_pipelines.bigquery.place import ConnectionOptions
from beam_pipelines.ingest.tables import bigquery as source
from beam_pipelines.options import specs
from beam_pipelines.sink.tables.known import options_of

PAGE = (Path(__file__).parents[2] / "docs/bigquery.md").read_text()


def _named(title: str) -> set[str]:
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0].split("| mode | the job")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}


@pytest.mark.parametrize(
    ("section", "options", "common"),
    [
        ("Connecting", ConnectionOptions, None),
        ("Writing", options_of("bigquery"), ConnectionOptions),
        ("Reading", source.OPTIONS, ConnectionOptions),
    ],
)
def test_each_option_is_told_and_nothing_else(section: str, options: type, common: type | None) -> None:
    left_out = {spec.name for spec in specs(common)} if common else set()
    assert _named(section) == {spec.name for spec in specs(options)} - left_out
