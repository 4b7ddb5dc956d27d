"""`dead-letters cat`: JSON Lines of committed runs, to a pipe."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines import dead_letters
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake with two committed runs of one dead letter each, and the files of a run that isn't committed."""
    for run, payload, committed in (("r1", b'{"a": 1', True), ("r2", b"\xff", True), ("r3", b"half", False)):
        refused = pa.record_batch(
            {
                FAILURES: dead_letters.failures_column(
                    [[dead_letters.failure("json.malformed", None, None, "cut off")]]
                ),
                "__payload": pa.array([payload]),
            }
        )
        letters = dead_letters.letters_of(refused, transform="Decode")
        file = tmp_path / f"dead_letters/{run}-a.parquet"
        file.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_batches([letters]), file)
        folder = tmp_path / "_runs" / run
        folder.mkdir(parents=True)
        manifest = {"files": [{"folder": "dead_letters", "path": f"dead_letters/{file.name}"}]}
        (folder / ("manifest.json" if committed else "pending.json")).write_text(json.dumps(manifest))
    return tmp_path


def _cat(capsysbinary: pytest.CaptureFixture[bytes], *argv: str) -> list[dict[str, object]]:
    assert main(["dead-letters", "cat", *argv]) == ExitCode.OK
    return [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]


def test_letters_of_committed_runs_are_printed_with_their_payloads(
    lake: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    first, second = _cat(capsysbinary, str(lake))
    assert (first["rule"], first["payload"]) == ("json.malformed", '{"a": 1')
    assert second["payload_base64"] == "/w=="


def test_one_run_can_be_asked_for(lake: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert [letter["payload"] for letter in _cat(capsysbinary, str(lake), "--run_id", "r1")] == ['{"a": 1']


def test_an_unknown_run_or_output_is_named(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead-letters", "cat", str(lake), "--run_id=r3"]) == ExitCode.USAGE
    assert "'r3'" in capsys.readouterr().err
    assert main(["dead-letters", "cat", str(lake / "nowhere")]) == ExitCode.USAGE
    assert "nowhere" in capsys.readouterr().err
