"""Care of a lake: the same rows in fewer files, runs taken back, nothing lost whenever a change is killed."""

import json
import os
import random
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.cli import main
from beam_pipelines.sink import storage
from beam_pipelines.sink.care import compacting, inventory, rolling_back, vacuuming
from beam_pipelines.sink.care.changing import STEPS, finish_others
from beam_pipelines.sink.runs import OutputError, RunIdentity
from beam_pipelines.sink.stream_commits import StreamRecord
from tests.sink.attempts import COUNTRIES, GOOD, attempt
from tests.sink.care import RUNS, change, fill

ROOT = Path(__file__).parents[2]
NOW = datetime(2013, 5, 1, tzinfo=timezone.utc)
ALL = sorted(list(range(GOOD)) * len(RUNS))


@pytest.fixture
def filled(lake):
    fill(lake, lake.replace("/lake", "/vault"))
    return lake


def local(path):
    return Path(path.removeprefix("bucket://"))


def ids_of(paths):
    return sorted(number for path in paths for number in pq.ParquetFile(path).read(["id"]).column("id").to_pylist())


def globbed(lake):
    """Ids that readers find who glob."""
    return ids_of(local(lake).glob("rows/**/*.parquet"))


def followed(lake):
    """Ids that readers find who follow manifests."""
    live = inventory.live_files(inventory.manifests(lake))
    return ids_of(local(f"{lake}/{file.path}") for file in live if file.folder == "rows")


def compact(lake, **options):
    return compacting.compact(lake, datetime.now(timezone.utc), **options)


def test_small_files_become_one_in_each_folder_and_rows_stay_the_same(filled):
    manifest = compact(filled)
    assert (len(manifest["replaces"]), len(manifest["files"])) == (18, 6)
    assert globbed(filled) == followed(filled) == ALL
    assert sorted(file["partition"]["country"] for file in manifest["files"]) == COUNTRIES
    assert len(list(local(filled).glob("rows/**/*.parquet"))) == 6
    assert compact(filled) is None


def test_only_files_of_one_schema_become_one(tmp_path):
    lake = str(tmp_path / "lake")
    fill(lake, lake)
    path = next((tmp_path / "lake/rows/country=c0").iterdir())
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.append_column("more", table.column("id")), path)
    groups = compacting.plan(lake)
    assert sorted(len(group) for group in groups) == [2, 3, 3, 3, 3, 3]


def test_files_are_no_larger_than_asked_and_sorted_if_asked(tmp_path):
    lake = str(tmp_path / "lake")
    fill(lake, lake)
    size = max(file.bytes for file in inventory.live_files(inventory.manifests(lake)) if file.folder == "rows")
    manifest = compact(lake, target_bytes=2 * size + 2, sort_by=["id"])
    assert len(manifest["files"]) == 6  # two of three files in each folder
    for file in manifest["files"]:
        ids = pq.ParquetFile(f"{lake}/{file['path']}").read().column("id").to_pylist()
        assert ids == sorted(ids)
    with pytest.raises(UsageError, match=r"--sort_by: 'idd' is not a column .* Did you mean 'id'\?"):
        compact(lake, sort_by=["idd"])
    with pytest.raises(UsageError, match=r"--folders: 'row' can't be compacted. Did you mean 'rows'\?"):
        compact(lake, folders=["row"])


def test_a_file_that_has_lost_rows_is_told_and_nothing_is_changed(tmp_path):
    lake = str(tmp_path / "lake")
    fill(lake, lake)
    path = next((tmp_path / "lake/rows/country=c0").iterdir())
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    before = sorted(str(each) for each in (tmp_path / "lake/rows").rglob("*.parquet"))
    with pytest.raises(OutputError, match="have 59 rows where manifests tell 60"):
        compact(lake)
    assert sorted(str(each) for each in (tmp_path / "lake/rows").rglob("*.parquet")) == before


def test_a_run_is_taken_back_and_the_taking_back_too(filled):
    taken = rolling_back.rollback(filled, "run-2", datetime.now(timezone.utc))
    assert globbed(filled) == followed(filled) == sorted(list(range(GOOD)) * 2)
    assert local(filled.replace("/lake", "/vault")).exists()  # dead letters stay
    attempt(filled, filled.replace("/lake", "/vault"), RunIdentity("run-2", "orders", "f1"))
    assert globbed(filled) == followed(filled) == sorted(list(range(GOOD)) * 2), "its id stays taken"
    rolling_back.rollback(filled, taken["run_id"], datetime.now(timezone.utc))
    assert globbed(filled) == followed(filled) == ALL


def test_a_compaction_is_taken_back_but_not_what_it_has_compacted(filled):
    manifest = compact(filled)
    with pytest.raises(UsageError, match=rf"its files were replaced by run '{manifest['run_id']}': roll back that one"):
        rolling_back.rollback(filled, "run-2", NOW)
    rolling_back.rollback(filled, manifest["run_id"], datetime.now(timezone.utc))
    assert globbed(filled) == followed(filled) == ALL
    assert len(list(local(filled).glob("rows/**/*.parquet"))) == 18
    rolling_back.rollback(filled, "run-2", datetime.now(timezone.utc))
    finish_others(filled)
    assert globbed(filled) == followed(filled) == sorted(list(range(GOOD)) * 2)


def test_a_vacuum_deletes_what_nobody_needs_and_only_when_it_is_old(tmp_path):
    lake = str(tmp_path / "lake")
    fill(lake, lake)
    manifest = compact(lake)
    for place in ("rows/stray.parquet", "_runs/dead/tmp/rows/x.parquet", "_runs/alive/tmp/rows/y.parquet"):
        (tmp_path / "lake" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lake" / place).write_bytes(b"x")
    stream = tmp_path / "lake/_runs/stream-1"
    for place in (stream / "stream/a.json", stream / "tmp/rows/z.parquet", tmp_path / "lake/rows/stream-1-a.parquet"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(StreamRecord("a", (), ()).to_json())
    now = datetime.now(timezone.utc)
    assert vacuuming.unneeded(lake, now, timedelta(days=7)) == []
    alive = (tmp_path / "lake/_runs/alive/tmp/rows/y.parquet").stat().st_mtime + 8 * 86_400
    os.utime(tmp_path / "lake/_runs/alive/tmp/rows/y.parquet", (alive, alive))
    found = vacuuming.unneeded(lake, now + timedelta(days=8), timedelta(days=7))
    names = sorted(path.removeprefix(f"{lake}/") for path, _ in found)
    replaced = sorted(f"_runs/{manifest['run_id']}/replaced/{path}" for path in manifest["replaces"])
    assert names == sorted([*replaced, "rows/stray.parquet", "_runs/dead/tmp/rows/x.parquet"])
    assert vacuuming.vacuum(lake, now + timedelta(days=8), timedelta(days=7)) == found
    assert followed(lake) == ALL
    assert (stream / "tmp/rows/z.parquet").exists()
    with pytest.raises(UsageError, match="was deleted by a vacuum, so it can't be rolled back"):
        rolling_back.rollback(lake, manifest["run_id"], now)


def test_the_commands_say_what_they_do_and_dry_runs_do_nothing(tmp_path, capsys):
    lake = str(tmp_path / "lake")
    fill(lake, lake)
    before = sorted(map(str, (tmp_path / "lake").rglob("*")))
    assert main(["lake", "compact", lake, "--dry_run"]) == 0
    assert "rows/country=c0/: 3 files of" in capsys.readouterr().out
    assert main(["lake", "rollback", lake, "run-1", "--dry_run"]) == 0
    assert "would go: rows/country=c0/run-1-" in capsys.readouterr().out
    assert main(["lake", "vacuum", lake, "--dry_run", "--older_than", "0m"]) == 0
    assert "0 files of 0 bytes would be deleted" in capsys.readouterr().out
    assert sorted(map(str, (tmp_path / "lake").rglob("*"))) == before
    assert main(["lake", "compact", lake]) == 0
    assert "18 files became 6, by run " in capsys.readouterr().out
    assert main(["lake", "history", lake]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "run-1  orders: " in lines[0]
    assert "lake compact: 6 files, 6 read" in lines[3]
    assert "replaced 18 files" in lines[3]
    assert main(["lake", "history", lake, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["run_id"] == "run-1"
    assert main(["lake", "rollback", lake, "run-9"]) == 2
    assert "run-9" in capsys.readouterr().err
    assert main(["lake", "history", str(tmp_path / "nothing")]) == 2


@pytest.fixture(scope="module")
def die():
    """Makes a change in a process that is killed; tells whether it was."""
    command = [sys.executable, "-m", "tests.sink.care"]
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def change_and_die(lake, verb, step="", after=1, seconds=None, run_id=""):
        asked = {"lake": lake, "verb": verb, "run_id": run_id, "step": step, "after": after, "seconds": seconds}
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline()) == signal.SIGKILL

    yield change_and_die
    server.stdin.close()
    server.stdout.close()
    server.wait()


@pytest.mark.parametrize(("step", "after"), [*((step, 1) for step in STEPS), ("moving", 3), ("replacing", 4)])
@pytest.mark.parametrize("verb", ["compact", "rollback a run", "rollback a compaction"])
def test_killed_at_a_step_who_follows_manifests_sees_no_difference_and_the_next_change_mends_the_rest(
    die, tmp_path, verb, step, after
):
    lake = str(tmp_path / "lake")
    fill(lake, lake)
    run_id = compact(lake)["run_id"] if verb == "rollback a compaction" else "run-2"
    died = die(lake, verb.split()[0], step, after, run_id=run_id)
    assert died or verb == "rollback a run"  # which moves no new file in
    left = sorted(list(range(GOOD)) * 2)
    assert followed(lake) in ([ALL, left] if verb == "rollback a run" else [ALL])
    finish_others(lake)
    assert globbed(lake) == followed(lake)
    change({"verb": "compact", "lake": lake})
    assert globbed(lake) == followed(lake)
    assert followed(lake) in ([ALL, left] if verb == "rollback a run" else [ALL])
    assert len(list((tmp_path / "lake").glob("rows/**/*.parquet"))) == 6


@pytest.mark.parametrize("moment", range(5))
def test_killed_at_any_moment_a_compaction_loses_nothing(die, tmp_path, moment):
    lake = str(tmp_path / "lake")
    fill(lake, lake)
    seconds = random.uniform(0, 0.3)
    die(lake, "compact", seconds=seconds)
    assert followed(lake) == ALL, f"killed after {seconds} s"
    change({"verb": "compact", "lake": lake})
    assert globbed(lake) == followed(lake) == ALL, f"killed after {seconds} s"
    assert storage.any_file_below(lake)
