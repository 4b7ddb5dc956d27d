"""What the benchmarks' own parts promise, without a benchmark being run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import chart, comparing, goals, page, results, running
from benchmarks.catalogue import WORKLOADS
from benchmarks.results import OURS, ROOT, Measured, Result
from benchmarks.workload import Side, Table, Workload


def _result(side: str, cpu: float, rows: int = 10_000_000, workload: str = "W1", peak: float | None = 400) -> Result:
    return Result(workload, rows, side, cpu, cpu, peak, 3, True)


def test_a_side_is_told_by_the_medians_of_its_runs() -> None:
    runs = [Measured(3, 30, 100), Measured(1, 50, 300), Measured(2, 10, 200)]
    assert results.summarize("W1", 5, "duckdb", runs, True) == Result("W1", 5, "duckdb", 2, 30, 200, 3, True)


def test_a_partial_run_replaces_its_own_results_only() -> None:
    old = [_result(OURS, 10), _result("duckdb", 5), _result(OURS, 2, rows=2_000_000)]
    new = results.merged(old, [_result("duckdb", 6)])
    assert sorted((each.rows, each.implementation, each.cpu_s) for each in new) == [
        (2_000_000, OURS, 2), (10_000_000, OURS, 10), (10_000_000, "duckdb", 6),
    ]  # fmt: skip


def test_results_accumulate_in_the_file_with_machine_and_versions_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.keep([_result(OURS, 10)], {"duckdb": "1"}, path)
    results.keep([_result("duckdb", 5)], {"duckdb": "2"}, path)
    beside, found = results.read(path)
    assert [each.implementation for each in found] == [OURS, "duckdb"]
    assert beside["machine"]["cores"] == os.cpu_count()
    assert beside["versions"]["duckdb"] == "2"
    assert set(json.loads(path.read_text())["results"][0]) == {
        "workload", "rows", "implementation", "cpu_s", "wall_s", "peak_mb", "runs", "output_equal",
    }  # fmt: skip


def _written(folder: Path, *files: list[dict[str, object]]) -> Path:
    (folder / "t").mkdir(parents=True)
    for number, rows in enumerate(files):
        pq.write_table(pa.Table.from_pylist(rows), folder / "t" / f"part-{number}")
    (folder / "t" / "_SUCCESS").touch()
    return folder


@pytest.fixture
def row() -> dict[str, object]:
    return {"a": 1, "b": "x"}


TABLES = [Table("t", "a, b", "count(DISTINCT b)")]


def test_outputs_are_equal_in_any_order_and_number_of_files(tmp_path: Path, row: dict[str, object]) -> None:
    one = _written(tmp_path / "one", [row, {"a": 2, "b": "y"}], [row])
    other = _written(tmp_path / "other", [{"b": "y", "a": 2}, row, row])
    assert comparing.fingerprint(one, TABLES) == comparing.fingerprint(other, TABLES)
    assert comparing.differences(one, other, TABLES) == []


@pytest.mark.parametrize(
    "rows",
    [[{"a": 1, "b": "x"}, {"a": 2, "b": "x"}], [{"a": 1, "b": "y"}], [{"a": 1, "b": "x"}] * 2, [{"a": 1, "b": None}]],
)
def test_outputs_that_differ_are_told_apart(
    tmp_path: Path, row: dict[str, object], rows: list[dict[str, object]]
) -> None:
    one, other = _written(tmp_path / "one", [row]), _written(tmp_path / "other", rows)
    assert comparing.fingerprint(one, TABLES) != comparing.fingerprint(other, TABLES)
    assert comparing.differences(one, other, TABLES)


def test_goals_tell_what_is_reached_what_is_missed_and_what_was_not_measured() -> None:
    told = "\n".join(goals.table([_result(OURS, 10), _result("beam_tuned", 51), _result("polars", 9)]))
    assert "| tuned row-wise Beam | 5x ours | 5.1x | 10,000,000 | yes |" in told
    assert "| ours against Polars | 1.0x or less | 1.11x | 10,000,000 | **no** |" in told
    assert "| PySpark local[2] | 6x ours | not measured |" in told


def test_goals_compare_at_the_most_rows_that_both_sides_were_measured_with() -> None:
    sizes = [_result(OURS, cpu, rows) for cpu, rows in ((1, 200_000), (3, 2_000_000), (10, 10_000_000))]
    told = "\n".join(goals.table([*sizes, _result("spark", 7, 200_000), _result("spark", 21, 2_000_000)]))
    assert "| PySpark local[2] | 6x ours | 7.0x | 2,000,000 | yes |" in told


def test_scoring_is_compared_by_what_a_row_more_costs() -> None:
    row = [_result("beam_row_by_row", cpu, rows, "W4") for cpu, rows in ((5, 1_000), (54, 50_000))]
    batch = [_result(OURS, cpu, rows, "W4") for cpu, rows in ((6, 1_000), (25.99, 2_001_000 - 1_000))]
    assert "| 100x | 100x | 50,000 | yes |" in "\n".join(goals.table([*row, *batch]))


def test_the_page_shows_each_result_once_and_ends_with_the_command() -> None:
    beside = {
        "measured": "2026-11-29",
        "machine": {"cores": 2, "cpu": "a", "memory_gb": 1, "system": "b"},
        "versions": {"duckdb": "2"},
    }
    found = [_result(OURS, 10), _result("duckdb", 5), _result("other", 7, workload="kafka", peak=None)]
    text = page.page(beside, found, WORKLOADS)
    assert text.index("## Caveats") < text.index("## Goals") < text.index("## W1") < text.index("## kafka")
    assert text.count("| 10,000,000 | duckdb: ") == 1
    assert "beam_yaml of W1" in text, "what wasn't measured is told"
    assert "| 5.00 | 0.50 |" in text
    assert text.rstrip().endswith("```")


def test_workloads_of_a_family_are_told_in_one_table_that_names_each_once() -> None:
    beside = {"measured": "", "machine": dict.fromkeys(("cores", "cpu", "memory_gb", "system"), ""), "versions": {}}
    found = [_result(side, 2, 200_000, f"W6, query {number}") for number in (1, 2) for side in (OURS, "duckdb")]
    text = page.page(beside, found, WORKLOADS)
    assert text.count("## W6") == 1
    assert text.count("| 1: bids in euros | 200,000 | **beam_pipelines**") == 1
    assert text.count("|  | 200,000 | duckdb: SQL | 2.00 | 1.00 |") == 2
    assert "W6, query 3" in text, "what wasn't measured is told"


def test_the_page_in_the_checkout_is_that_of_the_results_in_it() -> None:
    assert page.PAGE.read_text() == page.current(), "run: python -m benchmarks --page"


def test_the_chart_is_of_the_size_that_most_sides_were_measured_at() -> None:
    small = [_result(side, 1, 2_000_000) for side in (OURS, "duckdb", "spark")]
    assert page.charted([*small, _result(OURS, 5), _result("duckdb", 4)]) == 2_000_000


def test_bars_are_as_long_as_their_seconds() -> None:
    drawn = chart.bars([_result(OURS, 10), _result("a<b", 5)], "t")
    widths = [float(part.split('"')[1]) for part in drawn.split("width=")[2:]]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.1)
    assert "a&lt;b" in drawn


_CHILD = "x = bytearray(300_000_000); x[::4096] = b'1' * len(x[::4096]); sum(range(10_000_000))"


def test_what_is_measured_is_the_whole_tree_and_not_who_measures() -> None:
    here = bytearray(500_000_000)  # of the measuring process's parent: must not show
    here[::4096] = b"1" * len(here[::4096])
    alone = running.run_once([sys.executable, "-c", "pass"])
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_CHILD!r}])"  # which isn't waited for
    tree = running.run_once([sys.executable, "-c", program])
    assert alone.peak_mb < 100
    assert 300 < tree.peak_mb < 400
    assert tree.cpu_s > 3 * alone.cpu_s


def test_a_side_that_fails_says_what_it_printed() -> None:
    with pytest.raises(running.SideFailedError, match="no such thing"):
        running.run_once([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_a_side_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(running.SideFailedError):
        running.run_once([sys.executable, "-c", "import time; time.sleep(600)"], limit=0.5)


def test_two_sides_are_run_compared_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEAM_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(results, "PATH", tmp_path / "results.json")

    def source(rows: int) -> Path:
        (tmp_path / "source").write_text("\n".join(str(number) for number in range(rows)))
        return tmp_path / "source"

    module = "tests.benchmarks.tiny_side"
    workload = Workload(
        name="tiny", title="", says="", source=source, tables=(Table("numbers", "n"),), reference="right",
        sides=(Side("right", module, ""), Side("wrong", module, "", slow=True, arguments=("1",))), sizes=(), quick=None,
    )  # fmt: skip
    running.measure(workload, 100, workload.sides, runs=2, slow_runs=1)
    _, found = results.read(tmp_path / "results.json")
    told = {each.implementation: (each.rows, each.runs, each.output_equal) for each in found}
    assert told == {"right": (100, 2, True), "wrong": (100, 1, False)}
    assert "wrong differs in numbers" in capsys.readouterr().out
    assert all(0 < each.cpu_s < 60 and (each.peak_mb or 0) > 10 for each in found)


def test_every_side_is_there_and_has_an_environment() -> None:
    for workload in WORKLOADS.values():
        assert workload.reference in {None, *(side.implementation for side in workload.sides)} - {OURS}
        for side in workload.sides:
            assert (ROOT / side.module.replace(".", "/")).with_suffix(".py").exists()
            assert side.environment in {"project", *running.environments.ENVIRONMENTS}


def test_sides_of_other_environments_need_nothing_of_ours_to_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import benchmarks.events.data, benchmarks.events.rules"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
