"""Every pipeline, with its input, contract, dead letters, balance and manifest, means the same on every runner."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.pipelines import PIPELINES
from tests.conformance import catching_up, road
from tests.conformance.conftest import Started


@pytest.fixture(scope="session")
def lake(on: Started, road_inputs: Path) -> Path:
    lake = on.folder / "lake"
    ended = on.run("event_analytics", road.run, road_inputs, lake)
    assert ended.well, ended.log
    return lake


@pytest.mark.parametrize("part", ["rows", "aggregates", "dead_letters", "balance"])
def test_event_analytics_yields_what_was_computed_row_by_row(lake: Path, road_inputs: Path, part: str) -> None:
    expected = road.expected(road_inputs)[part]
    assert len(expected) >= 8
    assert road.found(lake)[part] == expected


def test_event_analytics_agrees_with_fn_api_in_every_column(lake: Path, road_on_fn_api: Path) -> None:
    assert road.whole(lake) == road.whole(road_on_fn_api)


def test_files_to_lake_reads_every_format_and_each_file_in_one_run(on: Started) -> None:
    lake = on.folder / "caught_up"
    ended = on.run("files_to_lake", catching_up.run, on.folder / "catching_up", lake)
    assert ended.well, ended.log
    assert catching_up.found(lake) == catching_up.expected()


def test_every_pipeline_is_here() -> None:
    assert set(PIPELINES) == {"event_analytics", "files_to_lake"}
