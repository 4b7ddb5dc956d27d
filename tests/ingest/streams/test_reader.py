"""The reader between Beam and a log: what it yields, when it says what time it is, and where it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP

from beam_pipelines.ingest.streams import open_logs
from beam_pipelines.ingest.streams.reader import LogMark, LogReader, LogSource
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from tests.ingest.streams.scripted import END, FolderLog, append

RECORDED = WatermarkPolicy(out_of_orderness=5, ahead=None)


def _source(folder: Path, **told: object) -> LogSource:
    return LogSource(FolderLog(str(folder), **told), policy=RECORDED)  # type: ignore[arg-type]


def _read(reader: LogReader) -> list[int]:
    """Positions of the rows of the current element."""
    return [each.as_py() for each in reader.get_current().column("__position")]


def _mark_of(reader: LogReader, source: LogSource) -> LogMark:
    coder = source.get_checkpoint_mark_coder()
    return coder.decode(coder.encode(reader.get_checkpoint_mark()))


def test_a_poll_is_an_element_stamped_with_its_earliest_time_and_the_watermark_follows_it(tmp_path: Path) -> None:
    append(tmp_path, 0, 107, 100, 120, END)
    reader = _source(tmp_path).create_reader(None, None)
    assert reader.start()
    assert _read(reader) == [0, 1]
    assert reader.get_current_timestamp() == 100
    assert reader.get_watermark() == 102
    assert reader.advance()
    assert _read(reader) == [2]
    # The end comes with the last rows, and nothing waits any more.
    assert reader.get_watermark() == MAX_TIMESTAMP
    assert not reader.advance()


def test_a_reader_made_from_a_mark_goes_on_behind_it_whatever_the_log_was_asked_since(tmp_path: Path) -> None:
    append(tmp_path, 0, 1, 2, 3, 4, 5, 6)
    source = _source(tmp_path)
    reader = source.create_reader(None, None)
    assert reader.start()
    mark = _mark_of(reader, source)
    assert reader.advance()
    assert _read(reader) == [2, 3]
    again = source.create_reader(None, mark)
    assert again.get_watermark() == -3
    assert again.start()
    assert _read(again) == [2, 3]


def test_the_partition_that_holds_the_watermark_is_read_first(tmp_path: Path) -> None:
    append(tmp_path, 0, 100, 200, 300, 400)
    append(tmp_path, 1, 10, 20, 30, 40, END)
    reader = _source(tmp_path).create_reader(None, None)
    order = []
    while reader.advance():
        order.append((reader.get_current().column("__partition")[0].as_py(), reader.get_watermark()))
    # When partition 1 has ended (a poll without rows), partition 0 alone is left.
    assert order == [(0, MIN_TIMESTAMP), (1, 15), (1, 35), (0, 395)]


def test_a_log_that_is_not_complete_never_ends(tmp_path: Path) -> None:
    append(tmp_path, 0, 1, END)
    reader = _source(tmp_path, ends=False).create_reader(None, None)
    assert reader.start()
    assert not reader.advance()
    assert reader.get_watermark() < MAX_TIMESTAMP


def test_an_empty_complete_log_ends_at_once(tmp_path: Path) -> None:
    reader = _source(tmp_path).create_reader(None, None)
    assert not reader.start()
    assert reader.get_watermark() == MAX_TIMESTAMP


def test_commits_are_made_by_marks_and_only_go_on(tmp_path: Path) -> None:
    append(tmp_path, 0, 1, 2, 3, 4)
    source = _source(tmp_path)
    reader = source.create_reader(None, None)
    assert reader.start()
    first = _mark_of(reader, source)
    assert reader.advance()
    second = _mark_of(reader, source)
    second.finalize_checkpoint()
    first.finalize_checkpoint()
    assert (tmp_path / "committed").read_text() == '{"0": 4}\n'


def test_readers_share_partitions_among_them_and_find_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_pipelines.ingest.streams.reader._DISCOVER_SECONDS", 0)
    for partition in range(3):
        append(tmp_path, partition, partition)
    source = _source(tmp_path, ends=False)
    readers = [each.create_reader(None, None) for each in source.split(20)]
    assert len(readers) == 3
    assert [reader.start() and _read(reader) for reader in readers] == [[0], [0], [0]]
    append(tmp_path, 3, 3)
    assert [reader.advance() for reader in readers] == [True, False, False]
    assert readers[0].get_current().column("__partition")[0].as_py() == 3


def test_a_log_that_raised_is_closed_and_opened_again(tmp_path: Path) -> None:
    append(tmp_path, 0, 1)
    source = _source(tmp_path)
    with pytest.raises(ValueError, match="broken"), open_logs.using(source.share) as log:
        raise ValueError("broken")
    with open_logs.using(source.share) as again:
        assert again is not log
    open_logs.close_all()
    with open_logs.using(source.share) as third:
        assert third is not again


def test_a_mark_of_another_version_is_refused(tmp_path: Path) -> None:
    coder = _source(tmp_path).get_checkpoint_mark_coder()
    with pytest.raises(ValueError, match="coded with version 9, this package reads 1"):
        coder.decode(b"\x09{}")
