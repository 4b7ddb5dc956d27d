"""Care of tables: history, compaction, an earlier version again, files that nobody needs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyiceberg.table import Table as Opened

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.sink.tables.care import TableCare, care_of
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import StagedFile
from tests.sink.tables.killed import ROWS, batch, stage
from tests.sink.tables.shop import Shop

WEEK = timedelta(days=7)


class Cared:
    """A table with four commits of ten rows."""

    def __init__(self, uri: str, options: str, folder: Path) -> None:
        self.uri, self._options, self.folder = uri, options, folder
        for number in range(4):
            self.commit(f"run-{number}", 10 * number)

    @property
    def care(self) -> TableCare:
        found = care_of(self.uri)
        assert found is not None
        return found

    def commit(self, commit_id: str, first: int) -> None:
        table, lake = table_of(f"{self.uri}{self._options}", ROWS), str(self.folder / "lake")
        files = stage(table, lake, commit_id, batch(first, first + 10))
        staged = [StagedFile(f"{lake}/_runs/{commit_id}/tmp/{file.path}", file.rows, file.bytes) for file in files]
        table.commit(commit_id, staged, lambda _: None)

    def files(self) -> list[str]:
        raise NotImplementedError

    def ids(self) -> list[int]:
        return sorted(number for path in self.files() for number in pq.read_table(path)["id"].to_pylist())

    def on_disk(self) -> set[str]:
        return {str(path) for path in (self.folder / "table").rglob("*.parquet")}

    def grow_old(self) -> None:
        """Let a month go by for all files, and a moment for all snapshots."""
        month_ago = time.time() - 30 * 86_400
        for path in (self.folder / "table").rglob("*"):
            os.utime(path, (month_ago, month_ago))


class IcebergCared(Cared):
    def __init__(self, folder: Path) -> None:
        self.shop = Shop(folder)
        where = f"catalog_uri=sqlite:///{folder}/catalog.db&warehouse=file://{folder}/table"
        super().__init__(f"iceberg://shop/sales.orders?{where}", "&create=true", folder)

    def opened(self) -> Opened:
        found: Opened = self.shop.open()
        return found

    def files(self) -> list[str]:
        return [task.file.file_path.removeprefix("file://") for task in self.opened().scan().plan_files()]


class DeltaCared(Cared):
    def __init__(self, folder: Path) -> None:
        super().__init__(f"delta://{folder}/table", "?create=true", folder)

    def files(self) -> list[str]:
        return [uri.removeprefix("file://") for uri in DeltaTable(self.folder / "table").file_uris()]


@pytest.fixture(params=[IcebergCared, DeltaCared], ids=["iceberg", "delta"])
def cared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = request.param(tmp_path)
    yield made
    if isinstance(made, IcebergCared):
        made.shop.close()


def test_many_small_files_become_one_with_the_same_rows(cared: Cared, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(cared.files()) == 4
    assert main(["lake", "compact", cared.uri]) == ExitCode.OK
    assert "4 files became 1" in capsys.readouterr().out
    assert len(cared.files()) == 1
    assert cared.ids() == list(range(40))
    assert main(["lake", "compact", cared.uri]) == ExitCode.OK
    assert "nothing to compact" in capsys.readouterr().out
    cared.commit("run-1", 10)  # which is known still
    assert cared.ids() == list(range(40))


def test_rows_are_sorted_within_the_files_that_are_written(cared: Cared) -> None:
    cared.care.compact(1 << 20, ["placed_at"])
    (path,) = cared.files()
    times = pq.read_table(path)["placed_at"].to_pylist()
    assert times == sorted(times)
    with pytest.raises(UsageError, match=r"--sort_by: 'placed' is not a column.*Did you mean 'placed_at'"):
        cared.care.compact(1 << 20, ["placed"])


def test_the_history_tells_versions_and_which_commit_made_them(
    cared: Cared, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lake", "history", cared.uri, "--json"]) == ExitCode.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["current"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert [line["commit_id"] for line in lines][-4:] == [f"run-{number}" for number in range(4)]
    assert sorted(line["created"] for line in lines) == [line["created"] for line in lines]


def test_an_earlier_version_is_the_current_one_again(cared: Cared) -> None:
    third = cared.care.history()[-2].id
    assert main(["lake", "rollback", cared.uri, third]) == ExitCode.OK
    assert cared.ids() == list(range(30))
    cared.commit("run-9", 90)
    assert cared.ids() == [*range(30), *range(90, 100)]
    with pytest.raises(UsageError, match=r"there is no (version|snapshot) '77'"):
        cared.care.rollback("77")


def test_files_that_nobody_needs_are_deleted_when_they_are_old(
    cared: Cared, capsys: pytest.CaptureFixture[str]
) -> None:
    left = cared.folder / "table" / ("data" if isinstance(cared, DeltaCared) else "sales/orders/data") / "left.parquet"
    left.parent.mkdir(exist_ok=True, parents=True)
    left.write_bytes(b"what a killed attempt left")
    assert cared.care.vacuum(WEEK, False) == []
    cared.grow_old()
    assert main(["lake", "vacuum", cared.uri, "--dry_run"]) == ExitCode.OK
    assert "left.parquet" in capsys.readouterr().out
    assert left.exists()
    assert main(["lake", "vacuum", cared.uri]) == ExitCode.OK
    assert not left.exists()
    assert cared.ids() == list(range(40))


def test_snapshots_that_are_old_are_forgotten_with_their_files(tmp_path: Path) -> None:
    cared = IcebergCared(tmp_path)
    cared.care.compact(1 << 20, [])
    cared.grow_old()
    cared.care.vacuum(timedelta(0), False)
    assert len(cared.opened().snapshots()) == 1
    assert cared.on_disk() == set(cared.files())
    assert cared.ids() == list(range(40))
    cared.shop.close()


def test_a_delta_table_keeps_its_files_as_long_as_it_says(tmp_path: Path) -> None:
    cared = DeltaCared(tmp_path)
    with pytest.raises(UsageError, match=r"--older_than: 1 hours are less than .* keeps for its readers"):
        cared.care.vacuum(timedelta(hours=1), False)


def test_another_writers_commit_during_a_compaction_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cared = IcebergCared(tmp_path)
    real, others = Opened._do_commit, iter(["other"])

    def late(self: Opened, **asked: Any) -> None:
        if (other := next(others, None)) is not None:
            cared.commit(other, 40)
        real(self, **asked)

    monkeypatch.setattr(Opened, "_do_commit", late)
    done = cared.care.compact(1 << 20, [])
    assert done is not None
    assert done.before == 5  # it looked again
    assert cared.ids() == list(range(50))
    cared.shop.close()


def test_options_that_mean_nothing_for_a_table_are_refused(cared: Cared, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lake", "compact", cared.uri, "--folders", "late"]) == ExitCode.USAGE
    assert "--folders: means nothing for a table" in capsys.readouterr().err
