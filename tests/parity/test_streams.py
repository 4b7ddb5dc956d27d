"""A stream is the batch of its rows when its late rows are counted in; and what is wrong in it is found."""

from __future__ import annotations

import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from beam_pipelines.aggregate.kernels import aggregate
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.parity.diff import compare
from beam_pipelines.parity.streams import final_aggregates
from tests.pipelines.test_stream import REPLAY, inputs  # noqa: F401  a fixture
from tests.window import rowwise

SQL = "count(*) as n, avg(amount) as mean, count(distinct amount) as amounts"
WINDOWS = ("fixed:10m", "calendar:day@Europe/Berlin", "sliding:20m/10m", "session:2m")


def _table(rows: list[rowwise.Row]) -> pa.Table:
    return pa.Table.from_batches([rowwise.to_batch(rows)])


def _aggregated(rows: pa.Table, window: str) -> pa.Table:
    found = aggregate(rows, SQL, group_by=["user"], window=window, event_time="at")
    return pa.Table.from_batches([found.drop_columns(["__rows"])])


def _panes(rows: pa.Table, window: str) -> pa.Table:
    found = _aggregated(rows, window)
    first = found.append_column("pane_index", pa.array([0] * found.num_rows, pa.int64()))
    return first.append_column("pane_timing", pa.array(["on_time"] * found.num_rows))


def _manifest(window: str) -> dict[str, object]:
    return {
        "options": {"window": window, "aggregate": SQL, "group_by": ["user"]},
        "contract": {"event_time": "at"},
    }


@pytest.mark.parametrize("window", WINDOWS)
def test_panes_and_late_rows_come_to_what_the_batch_says(window: str) -> None:
    rows = rowwise.random_rows(3, 300)
    late = rows[:40:3]
    on_time = [row for place, row in enumerate(rows) if place >= 40 or place % 3]
    everything = _table(rows)
    found = final_aggregates(_panes(_table(on_time), window), everything, _table(late), _manifest(window))
    assert compare(found, _aggregated(everything, window)).is_equal
    without = final_aggregates(_panes(everything, window), everything, _table([]), _manifest(window))
    assert compare(without, _aggregated(everything, window)).is_equal


@pytest.mark.parametrize("window", WINDOWS[:2])
def test_a_wrong_pane_of_a_window_with_late_rows_is_not_hidden_by_them(window: str) -> None:
    rows = rowwise.random_rows(3, 300)
    panes = _panes(_table(rows[40:]), window)
    place = panes.schema.get_field_index("n")
    wrong = panes.set_column(place, panes.schema.field(place), pc.add(panes.column("n"), 1))
    found = final_aggregates(wrong, _table(rows), _table(rows[:40]), _manifest(window))
    assert not compare(found, _aggregated(_table(rows), window)).is_equal


@pytest.mark.parametrize("runner", ["fn_api", "prism", "flink"])
def test_batch_and_replayed_stream_are_equal(
    runner: str,
    inputs: Path,  # noqa: F811
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = [] if runner == "fn_api" else [*request.getfixturevalue(f"{runner}_flags"), "--streaming"]
    command = [
        *("parity", "event_analytics", "--input", f"{inputs}/*.jsonl", "--contract", f"{inputs}/visits.odcs.yaml"),
        *("--window", "fixed:10m", "--group_by", "user", "--aggregate", "count(*) as visits, avg(pages) as pages"),
        *("--left", "", "--right", shlex.join([*REPLAY, *flags])),
    ]
    assert main(command) == ExitCode.OK, capsys.readouterr()
    told = capsys.readouterr().out
    assert "equal      rows: 10,000" in told
    assert "equal      aggregates: " in told
    assert "the two sides are equal" in told
