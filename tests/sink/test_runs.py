import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import (
    RunConflictError,
    RunIdentity,
    check_output,
    committed_manifest,
    committed_runs,
    fingerprint,
    inputs_summary,
    new_run_id,
)
from beam_pipelines.sink.runs import settled

NOW = datetime(2013, 11, 3, 1, 30, tzinfo=timezone(timedelta(hours=-5)))


def test_new_ids_sort_by_time_and_differ():
    first, second, later = new_run_id(NOW), new_run_id(NOW), new_run_id(NOW + timedelta(seconds=1))
    assert first.startswith("20131103T063000Z-")
    assert first != second
    assert max(first, second) < later
    RunIdentity(first, "p", "f")


@pytest.mark.parametrize("run_id", ["", "a/b", "..", "_hidden", ".hidden", "a b", "a\n", "é", "x" * 101, "a=b", "a*"])
def test_an_id_that_cannot_name_files_is_refused(run_id):
    with pytest.raises(UsageError, match="--run_id"):
        RunIdentity(run_id, "p", "f")


def test_a_fingerprint_changes_with_what_a_run_would_do_and_with_nothing_else():
    inputs = [("a", 1, 1.5), ("b", 2, None)]
    base = fingerprint({"window": "none", "group_by": ("a", "b")}, inputs, "c1")
    assert base == fingerprint({"group_by": ("a", "b"), "window": "none"}, inputs[::-1], "c1")
    others = [
        fingerprint({"window": "none", "group_by": ("b", "a")}, inputs, "c1"),
        fingerprint({"window": None, "group_by": ("a", "b")}, inputs, "c1"),
        fingerprint({"window": "none", "group_by": ("a", "b")}, inputs[:1], "c1"),
        fingerprint({"window": "none", "group_by": ("a", "b")}, [("a", 1, 1.6), ("b", 2, None)], "c1"),
        fingerprint({"window": "none", "group_by": ("a", "b")}, inputs, "c2"),
    ]
    assert len({base, *others}) == 6


def test_passwords_do_not_reach_the_manifest():
    run = RunIdentity("r", "p", "f", options={"source": "postgresql://me:secret@db/shop", "n": (1, 2)})
    assert "secret" not in json.dumps(run.to_json())
    assert run.to_json()["options"] == {"source": "postgresql://me:***@db/shop", "n": [1, 2]}


def test_the_inputs_are_summed_up():
    many = [(f"f{number:03}", 2, None) for number in range(100)]
    assert inputs_summary(many)["files"] == 100
    assert inputs_summary(many)["bytes"] == 200
    assert len(inputs_summary(many)["first"]) == 20


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "lake").write_text("")
    with pytest.raises(UsageError, match=r"--output: .*lake' is a file; name a folder"):
        check_output(str(tmp_path / "lake"))


def test_an_output_without_a_parent_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"--output: .* there is no folder '.*missing'"):
        check_output(str(tmp_path / "missing" / "lake"))


def test_a_dead_letter_output_is_checked_by_its_own_name(tmp_path):
    with pytest.raises(UsageError, match="--dead_letter_output"):
        check_output(str(tmp_path / "lake"), str(tmp_path / "missing" / "vault"))
    with pytest.raises(UsageError, match="--output: names no folder"):
        check_output("")


def test_an_output_that_can_not_be_written_is_refused():
    # Also for root, whom access rights don't stop.
    with pytest.raises(UsageError, match=r"--output: can't write to '/proc/self'"):
        check_output("/proc/self")


def test_an_unknown_file_system_is_refused():
    with pytest.raises(UsageError, match="--output: 's4://bucket/lake'"):
        check_output("s4://bucket/lake")
    with pytest.raises(UsageError, match=r"--output: 'bucket:///lakes/\*' holds one of \* \? \[ \]"):
        check_output("bucket:///lakes/*")


def test_a_new_or_empty_folder_is_fine_and_left_as_it_was(tmp_path):
    check_output(str(tmp_path / "lake"))
    check_output(str(tmp_path), str(tmp_path / "vault"))
    assert list(tmp_path.iterdir()) == []


def test_files_of_somebody_else_are_refused_and_those_of_our_runs_are_not(tmp_path):
    (tmp_path / "rows" / "x=1").mkdir(parents=True)
    check_output(str(tmp_path))
    (tmp_path / "rows" / "x=1" / "part-0.parquet").write_text("")
    with pytest.raises(UsageError, match="holds files that no run of beam_pipelines wrote"):
        check_output(str(tmp_path))
    (tmp_path / "_runs" / "r1").mkdir(parents=True)
    (tmp_path / "_runs" / "r1" / "manifest.json").write_text("{}")
    check_output(str(tmp_path))


def test_a_remote_output_is_checked_for_files_of_somebody_else(lake, tmp_path):
    check_output(lake)
    (tmp_path / "lake" / "rows").mkdir()
    (tmp_path / "lake" / "rows" / "a.parquet").write_text("")
    with pytest.raises(UsageError, match="no run of beam_pipelines wrote"):
        check_output(lake)


def test_committed_runs_are_found(lake, tmp_path):
    for name in ("r2", "r1", "unfinished"):
        (tmp_path / "lake" / "_runs" / name).mkdir(parents=True)
        (tmp_path / "lake" / "_runs" / name / "balance.json").write_text("{}")
        if name != "unfinished":
            manifest = {"run_id": name, "fingerprint": "f1", "created": "then"}
            (tmp_path / "lake" / "_runs" / name / "manifest.json").write_text(json.dumps(manifest))
    assert committed_runs(lake) == ["r1", "r2"]
    assert committed_manifest(lake, "r1")["run_id"] == "r1"
    assert committed_manifest(lake, "unfinished") is None
    assert settled(lake, RunIdentity("r1", "p", "f1"))["run_id"] == "r1"
    assert settled(lake, RunIdentity("r3", "p", "f1")) is None
    with pytest.raises(RunConflictError, match=r"run 'r1' was committed to .* with other options"):
        settled(lake, RunIdentity("r1", "p", "f2"))


def test_runs_can_be_looked_at_without_importing_beam(tmp_path):
    code = (
        "import sys, beam_pipelines.sink as sink; "
        f"sink.check_output({str(tmp_path)!r}); sink.committed_runs({str(tmp_path)!r}); sink.read_dead_letters; "
        "sys.exit('apache_beam' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
