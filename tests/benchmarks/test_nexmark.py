"""W6: what its events are, and that this package's queries give what DuckDB's do."""

from __future__ import annotations

import json
import runpy
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from apache_beam.testing.benchmarks.nexmark import nexmark_util
from apache_beam.testing.benchmarks.nexmark.models import nexmark_model

from benchmarks import comparing
from benchmarks.w6 import beam_nexmark, beam_pipelines_job, data, queries, workloads

EVENTS = 2_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nexmark") / "events.jsonl"
    path.write_text("".join(data.lines(EVENTS)))
    return path


def test_events_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    assert list(data.lines(200)) == list(data.lines(200))
    assert list(data.lines(200)) != list(data.lines(200, seed=12))


def test_events_are_in_nexmarks_proportions_and_in_the_order_of_their_times(source: Path) -> None:
    events = [json.loads(line) for line in source.read_text().splitlines()]
    assert [sum(name in event for event in events) for name in ("name", "itemName", "bidder")] == [40, 120, 1_840]
    assert all(before["dateTime"] < after["dateTime"] for before, after in pairwise(events))


def test_half_of_the_bids_are_for_a_hot_auction_and_three_of_four_by_a_hot_bidder(source: Path) -> None:
    bids = [event for event in map(json.loads, source.read_text().splitlines()) if "bidder" in event]
    assert 0.45 < sum(bid["auction"] == 1_000 for bid in bids if bid["dateTime"] < data.START + 1_600) / 1_472 < 0.60
    assert 0.70 < sum(bid["bidder"] == 1_001 for bid in bids) / len(bids) < 0.80


def test_beams_own_parser_reads_each_event(source: Path) -> None:
    parser = nexmark_util.ParseJsonEventFn()
    parsed = [event for line in source.read_text().splitlines() for event in parser.process(line)]
    kinds = [nexmark_model.Person, nexmark_model.Auction, nexmark_model.Bid]
    assert [sum(type(event) is kind for event in parsed) for kind in kinds] == [40, 120, 1_840]


def _differences(number: int, source: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Between the reference's output, which is written now, and another."""
    (workload,) = [each for each in workloads.ALL if each.name == f"W6, query {number}"]
    (side,) = [each for each in workload.sides if each.implementation == workload.reference]
    one = other.with_name("reference")
    arguments = [argument.replace("{source}", str(source)) for argument in side.arguments]
    monkeypatch.setattr(sys, "argv", ["", str(source), str(one), *arguments])
    runpy.run_module(side.module, run_name="__main__")
    rows = comparing.fingerprint(one, workload.tables)["results"][0]
    assert int(rows) > 0, "an empty result is like any other"
    return comparing.differences(one, other, workload.tables)


@pytest.mark.parametrize("number", queries.QUERIES)
def test_our_query_gives_what_duckdbs_gives(
    number: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beam_pipelines_job.run(str(source), str(tmp_path / "ours"), number)
    assert _differences(number, source, tmp_path / "ours", monkeypatch) == []


def test_beams_query_gives_what_duckdbs_gives(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beam_nexmark.run(str(source), str(tmp_path / "beam"), 8, "FnApiRunner")
    assert _differences(8, source, tmp_path / "beam", monkeypatch) == []


def test_an_event_that_is_refused_fails_our_job(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"auction": 1230, "price": "much"}\n')
    with pytest.raises(RuntimeError, match="RefusedError"):
        beam_pipelines_job.run(str(path), str(tmp_path / "ours"), 2)
