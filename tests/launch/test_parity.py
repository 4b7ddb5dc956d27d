"""One pipeline on two runners: equal where it is, and told where it isn't."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from tests.conformance import road

_BUNDLES = "--runner=BundleBasedDirectRunner"


def _command(folder: Path, *flags: str) -> list[str]:
    return [
        *("parity", "event_analytics", "--input", f"{folder}/in/*", "--contract", f"{folder}/purchases.odcs.yaml"),
        *("--mask_key_file", f"{folder}/mask.key", "--window", "fixed:1h", "--group_by", "country"),
        *("--aggregate", road.AGGREGATES, *flags),
    ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    road.write(folder)
    return folder


def test_two_runners_are_equal_until_one_lake_is_tampered_with(
    inputs: Path, prism_flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    kept = inputs / "kept"
    flags = ["--output", str(kept), "--left", "", "--right", shlex.join(prism_flags)]
    assert main(_command(inputs, *flags)) == ExitCode.OK, capsys.readouterr()
    lines = capsys.readouterr().out.splitlines()
    expected = road.expected(inputs)
    assert lines[2:5] == [
        f"equal      rows: {len(expected['rows'])}",
        f"equal      aggregates: {len(expected['aggregates'])}",
        f"equal      dead letters: {len(expected['dead_letters'])}",
    ]
    assert lines[0].endswith("FnApiRunner, in this process")
    assert "PrismRunner" in lines[1]
    assert lines[-1] == "the two sides are equal"

    manifest = json.loads((kept / "right/_runs/parity/manifest.json").read_text())
    path = next(kept / "right" / file["path"] for file in manifest["files"] if file["folder"] == "aggregates")
    table = pq.read_table(path)
    place = table.schema.get_field_index("events")
    first = table.column("events")[0].as_py()
    counts = pa.array([first + 1, *table.column("events").to_pylist()[1:]], table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), counts), path)
    # Both runs are committed, so nothing is run again: the lakes are compared as they are.
    assert main(_command(inputs, *flags)) == ExitCode.DIFFERENT
    told = capsys.readouterr().out
    assert "DIFFERENT  aggregates: 1 of " in told
    assert told.count(f"events={first},") >= 1
    assert f"events={first + 1}," in told
    assert told.endswith("the two sides differ\n")
    assert "equal      rows" in told


def test_fn_api_and_bundle_based_are_equal(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(_command(inputs, "--left", "", "--right", _BUNDLES)) == ExitCode.OK, capsys.readouterr()
    assert capsys.readouterr().out.endswith("the two sides are equal\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--left="], "--right"),
        (["--left=", "--right=--runner=PrismRuner"], "--right: --runner: there is no runner 'PrismRuner'."),
        (["--left=--job_endpoint=localhost:1", "--right="], "--left: --job_endpoint: nothing listens at 'localhost:1'"),
        (["--left='", "--right="], "--left: No closing quotation"),
        (["--left=", "--right=", "--run_id=a"], "--run_id: parity names the runs"),
        (["--left=", "--right=", "--show=x"], "--show: 'x' is not a number of rows"),
        (["--left=", "--right=", "--imput=x"], "--imput is not an option"),
    ],
)
def test_a_wrong_option_is_told_before_anything_runs(
    flags: list[str], message: str, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_command(inputs, *flags)) == ExitCode.USAGE
    told = capsys.readouterr()
    assert message in told.err
    assert told.out == ""


def test_a_pipeline_without_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["parity", "tests.launch.tiny", "--result", str(tmp_path / "sum"), "--left=", "--right="]
    assert main(command) == ExitCode.USAGE
    assert "tiny has no runs that could be compared" in capsys.readouterr().err


def test_a_side_that_fails_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["parity", "tests.launch.tally", "--read=11", "--left=", "--right="]
    assert main(command) == ExitCode.UNBALANCED
    assert "the left run failed" in capsys.readouterr().err


def test_a_side_that_does_not_end_is_stopped(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(_command(inputs, "--timeout=0.3", "--left=", "--right=")) == ExitCode.FAILED
    assert "the left run was not done after 0.3 s, and was stopped" in capsys.readouterr().err
