"""Numbers of several processes as those of one job, and what is shown of them."""

from __future__ import annotations

import io
import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from rich.console import Console

from beam_pipelines.live import page
from beam_pipelines.live.families import FAMILIES, RUN_LABELS
from beam_pipelines.live.terminal import drawn
from beam_pipelines.live.view import view_of
from beam_pipelines.progress import Measured, Series
from beam_pipelines.sink.live_numbers import STALE_SECONDS, Snapshot, fresh, together

DASHBOARD = Path(__file__).parents[2] / "deploy/grafana/dashboard.json"


def _series(name: str, **labels: str) -> Series:
    return Series(name, tuple(sorted(labels.items())))


READ = _series("read", stage="ReadFromKafka")
WAITS = _series("backlog_rows", source="orders", partition="0")
CIRCUIT = _series("circuit_state", endpoint="kafka://broker")
GONE = Snapshot(100.0, {READ: 50}, {WAITS: Measured(900, 99.0), CIRCUIT: Measured(2, 10.0)})
HERE = Snapshot(
    110.0,
    {READ: 30, _series("dead_lettered", stage="ValidateBatches", rule="required"): 4},
    {WAITS: Measured(7, 109.0), _series("watermark_lag_seconds", source="orders", reader="0"): Measured(3, 109.0)},
)


def test_counts_of_workers_that_are_gone_count_and_their_gauges_give_way_to_newer_ones() -> None:
    for order in ((GONE, HERE), (HERE, GONE)):
        found = together(order)
        assert (found.at, found.counts[READ], found.gauges[WAITS].value) == (110.0, 80, 7)


def test_a_gauge_that_was_not_set_for_long_says_nothing_but_a_circuit_stays_as_it_is() -> None:
    later = fresh(together([GONE, HERE]), 109.0 + STALE_SECONDS + 1)
    assert list(later.gauges) == [CIRCUIT]


def test_the_terminal_shows_rates_lag_backlog_dead_letters_and_circuits() -> None:
    now = together([GONE, HERE])
    console = Console(width=80, file=io.StringIO())
    console.print(drawn(view_of("r1", now, Snapshot(100.0, {READ: 20}, {}))))
    told = re.sub(r" +", " ", console.file.getvalue())
    for line in (
        "rows/s 6 read",
        "watermark lag 3 s orders",
        "backlog 7 orders 0",
        "dead letters 4 required",
        "circuits open kafka://broker",
        "no worker has told anything for",
    ):
        assert line in told


def test_the_page_is_for_this_machine_alone_and_needs_nothing_from_elsewhere() -> None:
    with page.shown(0, lambda: view_of("r1", HERE)) as address:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}numbers.json", timeout=10) as answer:
            view = json.load(answer)
        assert (view["run_id"], view["outcomes"]["read"], view["backlog"]) == ("r1", 30, {"orders": {"0": 7}})
        with urllib.request.urlopen(address, timeout=10) as answer:
            html = answer.read().decode()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "://" not in html
        elsewhere = urllib.request.Request(f"{address}numbers.json", headers={"Host": "evil.example:80"})
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(elsewhere, timeout=10)
        refused.value.close()


def test_the_dashboards_queries_name_metrics_and_labels_that_there_are() -> None:
    known = {family.name: {*RUN_LABELS, *family.labels} for family in FAMILIES}
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    named = {name for query in queries for name in re.findall(r"beam_pipelines_\w+", query)}
    assert named == set(known), "each metric is on the dashboard, and nothing else"
    for query in queries:
        (metric,) = set(re.findall(r"beam_pipelines_\w+", query))
        grouped = re.findall(r"by \(([^)]*)\)", query)
        filtered = re.findall(r"(\w+)(?:=~|=|!=)\"", query)
        labels = {label.strip() for group in grouped for label in group.split(",")} | set(filtered)
        assert labels <= known[metric], query
