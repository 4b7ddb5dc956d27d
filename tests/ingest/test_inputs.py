from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest import list_inputs
from beam_pipelines.ingest.inputs import open_input


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("events/b.jsonl", "events/a.jsonl", "events/deep/c.jsonl", "events/x[1].csv", "here.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("12")
    (tmp_path / "dangling.csv").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(patterns: str | list[str]) -> list[str]:
    return [file.path for file in list_inputs(patterns)]


def test_files_come_sorted_and_once_however_often_they_are_named(folder: Path) -> None:
    patterns = ["events/b.jsonl", "events/*.jsonl", "./events/a.jsonl", f"{folder}/events/b.jsonl"]
    assert names(patterns) == ["events/a.jsonl", "events/b.jsonl"]


def test_patterns_reach_below_with_two_stars_and_into_the_current_folder(folder: Path) -> None:
    assert names("events/**.jsonl") == ["events/a.jsonl", "events/b.jsonl", "events/deep/c.jsonl"]
    assert names("h*.csv") == names("here.csv") == ["here.csv"]


def test_a_name_with_brackets_is_taken_as_it_stands(folder: Path) -> None:
    assert names("events/x[1].csv") == ["events/x[1].csv"]


def test_size_and_time_are_told(folder: Path) -> None:
    (file,) = list_inputs("here.csv")
    assert file.size == 2
    assert file.modified == pytest.approx((folder / "here.csv").stat().st_mtime)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("events/c.jsonl", "'events/c.jsonl' matches no file. Did you mean 'events/"),
        ("evnts/*.jsonl", "'evnts/*.jsonl' matches no file. Did you mean 'events'?"),
        ("events/deep/*.parquet", "matches no file. In 'events/deep' there is: c.jsonl."),
        ("here.csv/x", "'here.csv' is a file, not a folder"),
        ("events", "'events' is a folder: say which files in it, as in 'events/*'"),
        ("events/", "'events/' is a folder: say which files in it, as in 'events/*'"),
        ("dangling.csv", "'dangling.csv' is a link to a file that isn't there"),
        (" ", "an empty pattern"),
        ("s3a://bucket/x", "there is no file system for s3a://. Did you mean 's3'?"),
        ("file:///tmp/x", "no file system for file://. Local files are named without it."),
        ("nul\0byte", "matches no file"),
    ],
)
def test_what_names_no_file_is_an_error_that_says_what_is_near(folder: Path, pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=r"^--input: ") as error:
        list_inputs(["here.csv", pattern])
    assert message in str(error.value)


def test_no_pattern_is_an_error() -> None:
    with pytest.raises(UsageError, match="--input: no files are named"):
        list_inputs([])


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Permissions don't bind root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def forbidden() -> Iterator[Path]:
    # Not tmp_path, which only its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "closed").mkdir()
        for path in (folder / "secret.csv", folder / "closed" / "a.csv"):
            path.write_text("a")
            path.chmod(0)
        (folder / "closed").chmod(0)
        folder.chmod(0o755)
        yield folder
        (folder / "closed").chmod(0o700)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("secret.csv", "no permission to read '{}/secret.csv'"),
        ("*.csv", "no permission to read '{}/secret.csv'"),
        ("closed/a.csv", "no permission to look into '{}/closed'"),
        ("closed/*.csv", "no permission to look into '{}/closed'"),
        ("closed/deep/*.csv", "no permission to look into '{}/closed'"),
    ],
)
def test_missing_permission_is_an_error_that_names_the_place(forbidden: Path, pattern: str, message: str) -> None:
    with as_nobody(), pytest.raises(UsageError, match=r"^--input: ") as error:
        list_inputs(f"{forbidden}/{pattern}")
    assert message.format(forbidden) in str(error.value)


def test_opening_says_when_a_file_may_not_be_read(forbidden: Path) -> None:
    with as_nobody(), pytest.raises(UsageError, match=r"--input: no permission to read '.*secret\.csv'"):
        open_input(f"{forbidden}/secret.csv")


def test_opening_says_when_a_file_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--input: '.*gone\.csv' was there when the run listed it, and is gone"):
        open_input(f"{tmp_path}/gone.csv")
