"""The kernel of the finaliser: balance, commit, kills at every step and moment."""

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_pipelines.sink import commit, storage
from beam_pipelines.sink.commit import STEPS, withdraw
from beam_pipelines.sink.folder_writer import FolderLayout, write_empty
from beam_pipelines.sink.publishing import finalize
from beam_pipelines.sink.runs import BalanceError, OutputError, RunConflictError, RunIdentity
from tests.sink.attempts import BAD, COUNTRIES, GOOD, PANES, ROWS, RUN, attempt, entries, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def vault(lake):
    return lake.replace("/lake", "/vault")


def local(path):
    return Path(path.removeprefix("bucket://"))


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def shown(lake):
    """What readers who glob find in a lake: ids and counts, and the files they are in."""
    rows = [row for path in local(lake).glob("rows/**/*.parquet") for row in pq.ParquetFile(path).read().to_pylist()]
    panes = [
        row for path in local(lake).glob("aggregates/**/*.parquet") for row in pq.ParquetFile(path).read().to_pylist()
    ]
    return sorted(row["id"] for row in rows), sorted((row["country"], row["events"]) for row in panes)


COMPLETE = (list(range(GOOD)), [(country, GOOD // 6) for country in COUNTRIES])
NOTHING = ([], [])


def assert_undisturbed(lake, vault, runs=("run-1",)):
    """The lake is as if each run had been done once, with nothing in its way."""
    assert shown(lake) == (sorted(COMPLETE[0] * len(runs)), sorted(COMPLETE[1] * len(runs)))
    named = set()
    for run_id in runs:
        folder = local(lake) / "_runs" / run_id
        assert files_in(folder) == ["balance.json", "manifest.json"]
        assert "bucket:" in lake or not (folder / "tmp").exists()  # a bucket has no folders
        manifest = json.loads((folder / "manifest.json").read_text())
        named |= {file["path"] for file in manifest["files"]}
        for file in manifest["files"]:
            path = local(file["path"] if file["folder"] == "dead_letters" else f"{lake}/{file['path']}")
            assert path.stat().st_size == file["bytes"]
            assert pq.read_metadata(path).num_rows == file["rows"]
    found = {path for path in files_in(local(lake)) if not path.startswith("_runs/")}
    found |= {f"{vault}/{path}" for path in files_in(local(vault))}
    assert found == named


def test_a_run_shows_exactly_what_its_manifest_names(lake, vault):
    manifest = attempt(lake, vault)
    assert_undisturbed(lake, vault)
    assert [file["partition"] for file in manifest["files"] if file["folder"] == "rows"] == [
        {"country": country} for country in COUNTRIES
    ]
    assert manifest == json.loads((local(lake) / "_runs/run-1/manifest.json").read_text())
    assert manifest["balance"] == {
        **{"read": GOOD + BAD, "written": GOOD, "dead_lettered": BAD, "duplicate": 0, "filtered": 0, "late": 0},
        "balanced": True,
    }
    balance = json.loads((local(lake) / "_runs/run-1/balance.json").read_text())
    assert (balance["run_id"], balance["pipeline"], balance["balanced"]) == ("run-1", "orders", True)
    assert balance["dead_letters_by_rule"] == {"type": BAD}


def test_a_rerun_changes_no_byte_and_no_time(lake, vault):
    def state():
        both = [local(lake), local(vault)]
        return {
            str(path): (path.read_bytes(), path.stat().st_mtime_ns)
            for folder in both
            for path in folder.rglob("*")
            if path.is_file()
        }

    first = attempt(lake, vault)
    before = state()
    assert attempt(lake, vault) == first
    assert state() == before
    assert_undisturbed(lake, vault)


def test_a_run_of_another_fingerprint_is_refused_and_leaves_nothing(lake, vault):
    attempt(lake, vault)
    with pytest.raises(RunConflictError, match="run-1"):
        attempt(lake, vault, RunIdentity("run-1", "orders", "f2"))
    assert_undisturbed(lake, vault)


def test_runs_share_a_lake_even_if_one_name_begins_the_other(lake, vault):
    for run_id in ("run-1", "run", "run-1-2"):
        attempt(lake, vault, RunIdentity(run_id, "orders", "f1"))
    assert_undisturbed(lake, vault, ("run-1", "run", "run-1-2"))


def test_a_run_that_does_not_balance_shows_nothing_and_says_why(lake, vault):
    with pytest.raises(BalanceError) as refused:
        finalize(lake, RUN, write(lake, vault), entries(read=200))
    assert "nothing was published" in str(refused.value)
    assert f"rows: read 200 is not {GOOD} written + {BAD} dead_lettered" in str(refused.value)
    assert shown(lake) == NOTHING
    assert files_in(local(lake)) == ["_runs/run-1/balance.json"]
    balance = json.loads((local(lake) / "_runs/run-1/balance.json").read_text())
    assert balance["balanced"] is False
    attempt(lake, vault)
    assert_undisturbed(lake, vault)


def test_a_folder_without_rows_gets_one_empty_file_and_others_get_none(lake):
    empty = [write_empty(FolderLayout(lake, "run-1", "rows", ROWS, ("country",))) for _ in range(3)]
    empty += [write_empty(FolderLayout(lake, "run-1", "aggregates", PANES))]
    manifest = finalize(lake, RUN, empty, [])
    assert [(file["folder"], file["rows"]) for file in manifest["files"]] == [("aggregates", 0), ("rows", 0)]
    assert shown(lake) == NOTHING
    assert len(files_in(local(lake) / "rows")) == 1
    assert pq.read_schema(next(local(lake).glob("aggregates/*.parquet"))).names == ["country", "events"]


def test_a_run_without_any_file_is_committed(lake):
    manifest = finalize(lake, RUN, [], [])
    assert manifest["files"] == []
    assert (local(lake) / "_runs/run-1/manifest.json").exists()


def test_temporary_files_that_vanished_fail_the_run(lake, vault):
    files = write(lake, vault)
    storage.delete(f"{lake}/_runs/run-1/tmp/{files[0].path}")
    with pytest.raises(OutputError, match=r"its temporary file .* is gone. Nothing was published"):
        finalize(lake, RUN, files, entries())
    assert shown(lake) == NOTHING


def test_a_move_that_fails_is_taken_back_and_the_next_attempt_goes_on(lake, vault):
    files = write(lake, vault)
    moved = []

    def fail(step):
        if step == "moving":
            moved.append(step)
            if len(moved) == 3 or lake.startswith("bucket"):
                raise PermissionError(13, "Permission denied")

    def fail_at_the_end(step):
        if step == "moved":
            raise PermissionError(13, "Permission denied")

    with pytest.raises(OutputError, match=r"--output: can't publish .*Permission denied.* Nothing was published"):
        finalize(lake, RUN, files, entries(), at_step=fail if "bucket" not in lake else fail_at_the_end)
    assert shown(lake) == NOTHING
    assert not (local(lake) / "_runs/run-1/manifest.json").exists()
    finalize(lake, RUN, files, entries())  # the runner tries the bundle again
    assert_undisturbed(lake, vault)


def test_a_place_that_is_taken_by_a_file_is_an_error_and_shows_nothing(tmp_path):
    lake = str(tmp_path / "lake")
    files = write(lake, lake)
    (tmp_path / "lake" / "rows").mkdir()
    (tmp_path / "lake" / "rows" / "country=c3").write_text("in the way")
    with pytest.raises(OutputError, match="can't publish"):
        finalize(lake, RUN, files, entries())
    assert not list((tmp_path / "lake").glob("rows/**/*.parquet"))
    (tmp_path / "lake" / "rows" / "country=c3").unlink()
    finalize(lake, RUN, files, entries())
    assert_undisturbed_local(lake)


def assert_undisturbed_local(lake):
    assert shown(lake) == COMPLETE
    assert files_in(Path(lake) / "_runs") == ["run-1/balance.json", "run-1/manifest.json"]


def test_the_finaliser_tried_again_after_its_own_commit_succeeds(lake, vault):
    files = write(lake, vault)
    first = finalize(lake, RUN, files, entries())
    assert finalize(lake, RUN, files, entries()) == first
    assert_undisturbed(lake, vault)


def interrupting(step):
    def at_step(name):
        if name == step:
            raise KeyboardInterrupt

    return at_step


@pytest.mark.parametrize("step", ["planned", "moved"])
def test_interrupted_by_hand_a_run_shows_nothing(lake, vault, step):
    with pytest.raises(KeyboardInterrupt):
        attempt(lake, vault, at_step=interrupting(step))
    assert shown(lake) == NOTHING
    attempt(lake, vault)
    assert_undisturbed(lake, vault)


@pytest.mark.parametrize("step", [step for step in STEPS if step != "moving"])  # a bucket moves 100 files at once
def test_what_a_kill_leaves_on_any_file_system_is_mended(lake, vault, step, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(commit._Attempt, "_give_up", lambda _: True)  # as a killed process would: nothing
        with pytest.raises(KeyboardInterrupt):
            attempt(lake, vault, at_step=interrupting(step))
    attempt(lake, vault)
    assert_undisturbed(lake, vault)


@pytest.mark.parametrize("same_files", [True, False], ids=["bundle_twice", "run_twice"])
def test_attempts_at_the_same_moment_publish_one(tmp_path, same_files):
    lake = vault = str(tmp_path / "lake")
    shared = write(lake, vault)
    found, failed = [], []
    start = threading.Barrier(4)

    def one():
        files = shared if same_files else write(lake, vault)
        start.wait()
        try:
            found.append(finalize(lake, RUN, files, entries()))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert all(manifest == found[0] for manifest in found)
    assert_undisturbed_local(lake)


@pytest.fixture(scope="module")
def die():
    """Makes an attempt in a process that is killed; tells whether it was."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.sink.attempts"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None

    def attempt_and_die(lake, vault, step, after=1, seconds=None, files=()):
        asked = {"lake": lake, "vault": vault, "files": files, "step": step, "after": after, "seconds": seconds}
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline()) == signal.SIGKILL

    yield attempt_and_die
    server.stdin.close()
    server.stdout.close()
    server.wait()


@pytest.mark.parametrize(("step", "after"), [*((step, 1) for step in STEPS), ("moving", 4), ("moving", 7)])
def test_killed_at_a_step_and_run_again_the_lake_is_undisturbed(die, tmp_path, step, after):
    lake, vault = str(tmp_path / "lake"), str(tmp_path / "vault")
    other = RunIdentity("run-2", "orders", "f1")
    attempt(lake, vault, other)
    assert die(lake, vault, step, after)
    committed = (tmp_path / "lake/_runs/run-1/manifest.json").exists()
    assert committed == (STEPS.index(step) >= STEPS.index("committed"))
    attempt(lake, vault)
    assert_undisturbed(lake, vault, ("run-1", "run-2"))


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_and_the_same_bundle_tried_again_the_lake_is_undisturbed(die, tmp_path, step):
    lake, vault = str(tmp_path / "lake"), str(tmp_path / "vault")
    files = write(lake, vault)
    assert die(lake, vault, step, files=files)
    finalize(lake, RUN, files, entries())
    assert_undisturbed(lake, vault)


@pytest.mark.parametrize("again_at", ["planned", "moved", "committed"])
def test_killed_twice_and_run_again_the_lake_is_undisturbed(die, tmp_path, again_at):
    lake, vault = str(tmp_path / "lake"), str(tmp_path / "vault")
    assert die(lake, vault, "moving", 3)
    assert die(lake, vault, again_at)
    attempt(lake, vault)
    assert_undisturbed(lake, vault)


def test_killed_and_run_again_with_other_options_only_the_second_is_there(die, tmp_path):
    lake, vault = str(tmp_path / "lake"), str(tmp_path / "vault")
    assert die(lake, vault, "moving", 3)
    attempt(lake, vault, RunIdentity("run-1", "orders", "f2"))
    assert_undisturbed(lake, vault)
    assert json.loads((tmp_path / "lake/_runs/run-1/manifest.json").read_text())["fingerprint"] == "f2"


def test_killed_and_withdrawn_a_run_shows_nothing(die, tmp_path):
    lake, vault = str(tmp_path / "lake"), str(tmp_path / "vault")
    assert die(lake, vault, "moving", 3)
    assert shown(lake) != NOTHING
    withdraw(lake, "run-1")
    assert shown(lake) == NOTHING
    attempt(lake, vault)
    assert_undisturbed(lake, vault)


def test_killed_and_then_not_balanced_a_run_shows_nothing(die, tmp_path):
    lake, vault = str(tmp_path / "lake"), str(tmp_path / "vault")
    assert die(lake, vault, "moving", 3)
    with pytest.raises(BalanceError):
        finalize(lake, RUN, write(lake, vault), entries(read=200))
    assert shown(lake) == NOTHING


def test_killed_at_random_moments_and_run_again_the_lake_is_undisturbed(die, tmp_path):
    started = time.monotonic()
    assert not die(str(tmp_path / "whole"), str(tmp_path / "whole"), "never")
    whole = time.monotonic() - started
    killed = 0
    for number in range(20):
        lake, vault = str(tmp_path / f"lake{number}"), str(tmp_path / f"vault{number}")
        for _ in range(random.randint(1, 3)):
            killed += die(lake, vault, "never", seconds=random.uniform(0, whole))
        attempt(lake, vault)
        assert_undisturbed(lake, vault)
        shutil.rmtree(lake)
    assert killed > 3
