"""A lake on a full disk: nothing is shown that isn't whole, and a stream goes on when there is room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_pipelines.sink import stream_commits
from beam_pipelines.sink.runs import OutputError
from tests import runners
from tests.sink.test_stream_commits import RUN, _clock, _followed, _record, _rows
from tests.small_disk import fill, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    runners.need("servers")
    assert os.geteuid() == 0, "only root makes a small disk: BEAM_PIPELINES_NO_SERVERS=1 leaves this out"
    with small_disk(tmp_path / "disk", megabytes=2):
        yield tmp_path / "disk"


def test_a_stream_on_a_full_disk_publishes_once_when_there_is_room_again(disk: Path) -> None:
    lake = disk / "lake"
    stream_commits.publish(str(lake), RUN.run_id, [_record(lake, "a", 1, 2)])
    filler = fill(disk)
    with pytest.raises(OutputError, match="no space is left"):
        _record(lake, "b", 3)  # the bundle fails, and the runner tries it again
    filler.unlink()
    again = _record(lake, "b", 3)
    filler = fill(disk)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left on device"):
            stream_commits.publish(str(lake), RUN.run_id, [again])
        assert _followed(lake) == [1, 2]
    filler.unlink()
    stream_commits.publish(str(lake), RUN.run_id, [again])
    assert _followed(lake) == _rows(lake) == [1, 2, 3]
    manifest = stream_commits.end(str(lake), RUN, [], {}, _clock)
    assert manifest["balance"]["written"] == 3
    assert _followed(lake) == _rows(lake) == [1, 2, 3]
