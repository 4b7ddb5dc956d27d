"""A watched folder as a log: which files are read, once each, and what becomes of those that change or go."""

from __future__ import annotations

import gzip
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.inputs import InputFile
from beam_pipelines.ingest.streams import open_logs
from beam_pipelines.ingest.streams.reader import LogMark, LogReader, LogSource
from beam_pipelines.ingest.streams.watched import OPEN_FILES, Candidates, Version, WatchedFiles
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy

LONG_AGO = 1_700_000_000


def write(folder: Path, name: str, *lines: object, at: float = LONG_AGO) -> Path:
    """A file that was last changed long ago, so that it is whole at first sight."""
    file = folder / name
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    os.utime(file, (at, at))
    return file


def source(folder: Path, pattern: str = "*.jsonl", max_rows: int = 100, **told: Any) -> LogSource:
    files = WatchedFiles((f"{folder}/{pattern}",), **{"every": 0.1, "settled": 0.0, **told})
    return LogSource(files, policy=WatermarkPolicy(), max_rows=max_rows)


def reader_of(of: LogSource, mark: LogMark | None = None) -> LogReader:
    return of.create_reader(None, mark)


def read(reader: LogReader, wanted: int = -1, seconds: float = 20) -> list[str]:
    """Payloads, and rules of what was refused: so many, or all that comes before there is nothing."""
    found: list[str] = []
    until = time.monotonic() + seconds
    while len(found) < wanted or wanted < 0:
        if not reader.advance():
            if wanted < 0:
                break
            assert time.monotonic() < until, found
            time.sleep(0.02)
            continue
        batch = reader.get_current()
        failures = batch.column(FAILURES).to_pylist() if FAILURES in batch.schema.names else None
        for place, payload in enumerate(batch.column("__payload").to_pylist()):
            found.append(payload.decode() if failures is None else failures[place][0]["rule"])
    return found


def mark_of(reader: LogReader, of: LogSource) -> LogMark:
    coder = of.get_checkpoint_mark_coder()
    return coder.decode(coder.encode(reader.get_checkpoint_mark()))


def elsewhere() -> None:
    """What another process would know: nothing."""
    open_logs.close_all()


def test_files_that_are_there_and_files_that_come_are_read_once(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", 1, 2)
    reader = reader_of(source(tmp_path))
    assert read(reader) == ["1", "2"]
    write(tmp_path, "b.jsonl", 3)
    write(tmp_path, "ignored.csv", 9)
    assert read(reader, 1) == ["3"]
    write(tmp_path, "c.jsonl", 4)
    assert read(reader, 1) == ["4"]  # and nothing of the others once more
    assert read(reader) == []


def test_many_small_files_come_together_the_oldest_first(tmp_path: Path) -> None:
    for number in range(3 * OPEN_FILES):
        write(tmp_path, f"{number:03}.jsonl", number, at=LONG_AGO - number)
    reader = reader_of(source(tmp_path, max_rows=50))
    elements = []
    while reader.advance():
        elements.append(reader.get_current().num_rows)
        assert sum(not state.finished for state in reader.get_checkpoint_mark().states.values()) <= OPEN_FILES
    assert sum(elements) == 3 * OPEN_FILES
    assert len(elements) < 10
    elsewhere()
    numbers = [int(each) for each in read(reader_of(source(tmp_path)))]
    assert numbers[0] >= 2 * OPEN_FILES
    assert numbers[-1] < OPEN_FILES


def test_a_reader_made_from_a_mark_in_another_process_reads_the_rest(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", *range(10))
    write(tmp_path, "b.jsonl", *range(10, 20))
    of = source(tmp_path, max_rows=4)
    first = reader_of(of)
    found = read(first, 8)
    mark = mark_of(first, of)
    elsewhere()
    second = reader_of(of, mark)
    found += read(second)
    assert sorted(map(int, found)) == list(range(20))
    elsewhere()
    write(tmp_path, "c.jsonl", 20)
    assert read(reader_of(of, mark_of(second, of))) == ["20"]


def test_files_are_shared_among_readers_whatever_order_they_come_in(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path, f"{number}.jsonl", number)
    of = source(tmp_path)
    assert len(list(of.split(20))) == 20
    readers = [reader_of(each) for each in of.split(3)]
    shares = [read(reader) for reader in readers]
    assert all(shares)
    for number in range(40, 60):
        write(tmp_path, f"{number}.jsonl", number)
    elsewhere()
    until = time.monotonic() + 20
    while sum(map(len, shares)) < 60:
        assert time.monotonic() < until, shares
        shares += [read(reader) for reader in readers]
    assert sorted(int(each) for share in shares for each in share) == list(range(60))


def test_a_file_is_whole_when_it_no_longer_changes_or_is_old() -> None:
    files = Candidates(5, ("*.tmp", ".*"))
    young, old = InputFile("/in/a", 10, 1000.0), InputFile("/in/b", 5, 900.0)

    def whole(*listed: InputFile, clock: float) -> list[str]:
        return [version.path for version in files.whole(listed, now=1000.0 + clock, clock=clock)]

    assert whole(young, old, InputFile("/in/c.tmp", 1, 0.0), InputFile("/in/.d", 1, 0.0), clock=0) == ["/in/b"]
    assert files.waiting
    grown = young._replace(size=20)
    assert whole(grown, clock=4) == []
    assert whole(grown, clock=8) == []
    touched = grown._replace(modified=1008.0)
    assert whole(touched, clock=9) == []
    assert whole(touched, clock=14) == ["/in/a"]
    assert not files.waiting
    timeless = InputFile("/in/e", 1, None)
    assert whole(timeless, clock=15) == []
    assert whole(timeless, clock=20) == ["/in/e"]


def test_a_file_that_is_being_written_is_not_read_before_its_writer_is_done(tmp_path: Path) -> None:
    reader = reader_of(source(tmp_path, settled=0.5))
    with (tmp_path / "a.jsonl").open("w") as file:
        for number in range(8):
            file.write(f"{number}\n")
            file.flush()
            assert read(reader) == []
            time.sleep(0.1)
    write(tmp_path, "b.jsonl.tmp", "draft")
    assert read(reader, 8) == [str(number) for number in range(8)]
    assert read(reader) == []


def test_a_file_changed_after_it_was_read_is_one_dead_letter_or_read_again(tmp_path: Path) -> None:
    for changed, expected in (("dead_letter", ["file.replaced"]), ("read", ["2", "3"])):
        elsewhere()
        write(tmp_path, "a.jsonl", 1)
        of = source(tmp_path, changed=changed)
        reader = reader_of(of)
        assert read(reader) == ["1"]
        write(tmp_path, "a.jsonl", 2, 3)
        assert read(reader, len(expected)) == expected
        mark = mark_of(reader, of)
        elsewhere()
        again = reader_of(of, mark)
        assert read(again) == []
        write(tmp_path, "a.jsonl", 4, 5, 6)
        assert len(read(again, 1)) == (1 if changed == "dead_letter" else 3)


def test_a_file_changed_or_deleted_in_the_middle_of_reading_says_how_far_it_was_read(tmp_path: Path) -> None:
    a = write(tmp_path, "a.jsonl", *range(10))
    b = write(tmp_path, "b.jsonl", *range(10), at=LONG_AGO + 1)
    of = source(tmp_path, max_rows=4)
    first = reader_of(of)
    assert len(read(first, 8)) == 8
    mark = mark_of(first, of)
    elsewhere()
    a.unlink()
    write(tmp_path, "b.jsonl", "other", at=LONG_AGO + 9)
    second = reader_of(of, mark)
    assert second.advance()
    told = [each[0]["message"] for each in second.get_current().column(FAILURES).to_pylist()]
    assert told == [
        f"{a}: was deleted before all of it was read; 8 rows of it had been read",
        f"{b}: was changed before all of it was read; 0 rows of it had been read",
        f"{b}: was changed after it had been read; what it says now isn't read (?changed=read does)",
    ]
    assert read(second) == []


def test_a_file_that_can_not_be_read_is_a_dead_letter_and_does_not_hold_up_the_others(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"n": [1]}), buffer)
    bad = tmp_path / "a.jsonl"
    bad.write_bytes(gzip.compress(buffer.getvalue()))
    os.utime(bad, (LONG_AGO - 1, LONG_AGO - 1))
    write(tmp_path, "b.jsonl", 1)
    (tmp_path / "cut.jsonl").write_bytes(gzip.compress(b"1\n2\n" + os.urandom(500).hex().encode())[:-20])
    of = source(tmp_path)
    reader = reader_of(of)
    assert read(reader, 5)[:2] == ["file.refused", "1"]
    assert read(reader) == []


def test_what_is_gone_is_forgotten_so_that_marks_stay_small(tmp_path: Path) -> None:
    of = source(tmp_path, forget_after=0.2, changed="read")
    reader = reader_of(of)
    for number in range(5):
        file = write(tmp_path, f"{number}.jsonl", number)
        assert read(reader, 1) == [str(number)]
        file.unlink()
    stays = write(tmp_path, "stays.jsonl", "x")
    assert read(reader, 1) == ['"x"']
    for number in range(5):  # of one path only the last version is kept
        write(tmp_path, "stays.jsonl", number, at=LONG_AGO + number + 1)
        assert read(reader, 1) == [str(number)]
    until = time.monotonic() + 10
    while len(reader.get_checkpoint_mark().positions) > 1 and time.monotonic() < until:
        assert read(reader) == []
        time.sleep(0.05)
    (kept,) = reader.get_checkpoint_mark().positions
    assert Version.of(kept).path == str(stays)
    stays.unlink()
    while reader.get_checkpoint_mark().positions and time.monotonic() < until:
        assert read(reader) == []
        time.sleep(0.05)
    assert not reader.get_checkpoint_mark().positions
    assert not mark_of(reader, of).positions
    assert read(reader_of(of, mark_of(reader, of))) == []


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [("", "is a folder: say which files in it"), ("no such/*.jsonl", "there is no folder")],
)
def test_a_pattern_that_can_never_match_is_told(tmp_path: Path, pattern: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        reader_of(source(tmp_path, pattern)).advance()
