"""Dead letters are looked at, patched and run again; no row is ever written twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode

CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: orders
version: {version}
status: active
schema:
  - name: orders
    properties:
      - {{name: id, logicalType: integer, required: true}}
      - {{name: at, logicalType: timestamp, required: true, customProperties: [{{property: eventTime, value: true}}]}}
      - {{name: price, logicalType: number, physicalType: DOUBLE, logicalTypeOptions: {{minimum: {minimum}}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "v1.yaml").write_text(CONTRACT.format(version="1.0.0", minimum=0))
    (tmp_path / "v2.yaml").write_text(CONTRACT.format(version="2.0.0", minimum=-100))
    lines = [{"id": n, "at": f"2026-05-01T00:00:{n:02}Z", "price": n - 5.0} for n in range(20)]
    (tmp_path / "orders.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"id": 1,\n')
    (tmp_path / "orders.csv").write_text("price,at,id\n-3,2026-05-02T00:00:00Z,100\n1.5,2026-05-02T00:00:00Z,101\n")
    return tmp_path


def _run(folder: Path, *more: str) -> None:
    options = [f"--input={folder / 'orders.*'}", f"--contract={folder / 'v1.yaml'}", f"--output={folder / 'lake'}"]
    assert main(["run", "event_analytics", *options, "--run_id=first", *more]) == ExitCode.OK


def _ids(folder: Path) -> list[int]:
    return sorted(ds.dataset(folder / "lake" / "rows").to_table().column("id").to_pylist())


def _replay(folder: Path, *more: str) -> int:
    return main(["dead-letters", "replay", str(folder / "lake"), *more])


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[str, str]]:
    def read() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return read


def test_a_newer_contract_takes_what_the_older_refused_once(folder: Path, told: Callable[[], tuple[str, str]]) -> None:
    _run(folder, "--window=fixed:1d", "--aggregate=count(*) as orders")
    assert _ids(folder) == [*range(5, 20), 101]
    told()
    assert _replay(folder, "--contract", str(folder / "v2.yaml")) == ExitCode.OK
    out, _ = told()
    assert "replaying 7 dead letters of run first" in out
    assert "7 read = 6 written + 1 dead-lettered" in out
    assert _ids(folder) == [*range(20), 100, 101]
    panes = ds.dataset(folder / "lake" / "aggregates").to_table().to_pylist()
    by_day: dict[str, int] = {}
    for pane in panes:
        by_day[str(pane["window_start"].date())] = by_day.get(str(pane["window_start"].date()), 0) + pane["orders"]
    assert by_day == {"2026-05-01": 20, "2026-05-02": 2}, "rows keep their event times"

    assert _replay(folder, "--run_id=first", "--contract", str(folder / "v2.yaml")) == ExitCode.OK
    assert "no dead letter is left to replay" in told()[0]
    assert _ids(folder) == [*range(20), 100, 101]


def test_what_a_replay_refuses_is_replayed_in_its_turn(folder: Path, told: Callable[[], tuple[str, str]]) -> None:
    _run(folder)
    assert _replay(folder) == ExitCode.OK  # nothing has changed: all are refused again
    assert _ids(folder) == [*range(5, 20), 101]
    told()
    assert _replay(folder, "--contract", str(folder / "v2.yaml")) == ExitCode.OK
    assert "replaying 7 dead letters of run replay-" in told()[0]
    assert _ids(folder) == [*range(20), 100, 101]


def test_patched_letters_are_taken_alone_and_the_rest_stays(folder: Path, told: Callable[[], tuple[str, str]]) -> None:
    _run(folder)
    told()
    assert main(["dead-letters", "cat", str(folder / "lake")]) == ExitCode.OK
    letters = [json.loads(line) for line in told()[0].splitlines()]
    assert len(letters) == 7
    broken = next(letter for letter in letters if letter["rule"] == "json.malformed")
    broken["payload"] = '{"id": 500, "at": "2026-05-03T00:00:00Z", "price": 1}'
    csv = next(letter for letter in letters if letter["record_format"] == "csv")
    assert csv["csv_header"] == "price,at,id"
    csv["payload"] = csv["payload"].replace("-3", "3")
    patched = folder / "patched.jsonl"
    patched.write_text("".join(json.dumps(letter) + "\n" for letter in (broken, csv)))

    assert _replay(folder, "--letters", str(patched)) == ExitCode.OK
    assert _ids(folder) == [*range(5, 20), 100, 101, 500]
    assert _replay(folder, "--letters", str(patched), "--run_id=first") == ExitCode.OK
    assert "no dead letter is left" in told()[0]
    assert _ids(folder) == [*range(5, 20), 100, 101, 500]
    assert _replay(folder, "--contract", str(folder / "v2.yaml")) == ExitCode.OK
    assert "replaying 5 dead letters of run first" in told()[0]
    assert _ids(folder) == [*range(20), 100, 101, 500]


def test_a_replay_that_left_no_commit_takes_its_letters_again_as_the_same_run(folder: Path) -> None:
    _run(folder)
    assert _replay(folder, "--contract", str(folder / "v2.yaml")) == ExitCode.OK
    (replay,) = (folder / "lake" / "_runs").glob("replay-*")
    shutil.rmtree(replay)
    for file in (folder / "lake").rglob(f"{replay.name}-*"):
        file.unlink()
    assert _ids(folder) == [*range(5, 20), 101]
    assert _replay(folder, "--contract", str(folder / "v2.yaml")) == ExitCode.OK
    assert _ids(folder) == [*range(20), 100, 101]
    assert [each.name for each in (folder / "lake" / "_runs").glob("replay-*")] == [replay.name]


def test_the_summary_counts_by_rule_and_shows_shapes(folder: Path, told: Callable[[], tuple[str, str]]) -> None:
    _run(folder)
    told()
    assert main(["dead-letters", "summary", str(folder / "lake")]) == ExitCode.OK
    out, _ = told()
    assert out.startswith("7 dead letters\n\n6  minimum in price  (ValidateBatches)\n")
    assert f"5 from {folder / 'orders.jsonl'}" in out
    assert '{"id": 9, "at": "9999-99-99X99:99:99X", "price": -9.9}' in out
    assert "1  json.malformed" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--run_id=frist"], "no committed run 'frist' in {lake}. Did you mean 'first'?"),
        (["--contrct=x"], "--contrct is not an option of event_analytics"),
        (["--letters={folder}/none.jsonl"], "--letters: can't read {folder}/none.jsonl"),
        (["--letters={folder}/orders.jsonl"], "--letters: line 1 of {folder}/orders.jsonl is no dead letter"),
        (["--letters={folder}/strange.jsonl"], "names the letter 'x#1', which the run hasn't"),
    ],
    ids=["run", "option", "no file", "no letters", "other letters"],
)
def test_mistakes_are_told(argv: list[str], message: str, folder: Path, told: Callable[[], tuple[str, str]]) -> None:
    _run(folder)
    (folder / "strange.jsonl").write_text('{"letter": "x#1"}\n')
    told()
    assert _replay(folder, *(word.format(folder=folder) for word in argv)) == ExitCode.USAGE
    assert message.format(folder=folder, lake=folder / "lake") in told()[1]
    assert _ids(folder) == [*range(5, 20), 101]


def test_several_runs_with_letters_have_to_be_told_apart(folder: Path, told: Callable[[], tuple[str, str]]) -> None:
    _run(folder)
    options = [f"--input={folder / 'orders.csv'}", f"--contract={folder / 'v1.yaml'}", f"--output={folder / 'lake'}"]
    assert main(["run", "event_analytics", *options, "--run_id=second"]) == ExitCode.OK
    told()
    assert _replay(folder) == ExitCode.USAGE
    assert told()[1].endswith("name one:\n  --run_id first  (7 letters)\n  --run_id second  (1 letters)\n")


def test_a_lake_without_letters_has_nothing_to_replay(folder: Path, told: Callable[[], tuple[str, str]]) -> None:
    (folder / "orders.jsonl").unlink()
    (folder / "orders.csv").write_text("price,at,id\n1.5,2026-05-02T00:00:00Z,101\n")
    _run(folder)
    assert _replay(folder) == ExitCode.OK
    assert "no dead letter is left to replay: nothing was done" in told()[0]
    assert _replay(folder.parent / folder.name / "nothing") == ExitCode.USAGE


def test_the_letters_of_a_replay_lie_beside_the_letters_they_came_from(folder: Path) -> None:
    vault = folder / "vault"
    _run(folder, f"--dead_letter_output={vault}")
    assert _replay(folder, "--contract", str(folder / "v2.yaml")) == ExitCode.OK
    (kept,) = (vault / "_replays").glob("*.parquet")
    assert pq.read_table(kept).num_rows == 7
    assert not (folder / "lake" / "_replays").exists()
    assert _ids(folder) == [*range(20), 100, 101]


def test_a_replay_reads_csv_as_its_run_did(folder: Path) -> None:
    """Options that say how CSV is written go with the letters."""
    (folder / "orders.jsonl").unlink()
    (folder / "orders.csv").write_text("price;at;id\n-3;2026-05-02T00:00:00Z;100\nNA;2026-05-02T00:00:00Z;101\n")
    _run(folder, "--csv_delimiter=;", "--csv_nulls=NA")
    assert _ids(folder) == [101]
    assert _replay(folder, "--contract", str(folder / "v2.yaml")) == ExitCode.OK
    assert _ids(folder) == [100, 101]
