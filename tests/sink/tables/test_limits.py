"""Tables at their limits: 10,000 columns, odd names, a disk that is full when a commit is made."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from beam_pipelines.sink.commit import AtStep, no_step
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import StagedFile
from tests.sink.tables.killed import batch, stage
from tests.sink.tables.shop import Shop

COLUMNS = 10_000


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()


Read = Callable[[], pa.Table]


@pytest.fixture(params=["iceberg", "delta"])
def stored(request: pytest.FixtureRequest, shop: Shop, tmp_path: Path) -> tuple[str, Read]:
    if request.param == "iceberg":
        return f"{shop.uri()}&create=true", lambda: shop.open().scan().to_arrow()
    return f"delta://{tmp_path}/table?create=true", lambda: DeltaTable(tmp_path / "table").to_pyarrow_table()


def _commit(uri: str, folder: Path, rows: pa.RecordBatch, commit_id: str = "run-1", at_step: AtStep = no_step) -> None:
    table = table_of(uri, rows.schema)
    table.check()
    files = stage(table, str(folder / "lake"), commit_id, rows)
    root = f"{folder}/lake/_runs/{commit_id}/tmp"
    staged = [StagedFile(f"{root}/{file.path}", file.rows, file.bytes) for file in files]
    table.commit(commit_id, staged, at_step)


def test_a_table_of_ten_thousand_columns_is_written_and_read(stored: tuple[str, Read], tmp_path: Path) -> None:
    uri, read = stored
    rows = pa.record_batch({f"c{number}": [number, None] for number in range(COLUMNS)})
    _commit(uri, tmp_path, rows)
    found = read()
    assert found.num_columns == COLUMNS
    assert found.column("c9999").to_pylist() == [9999, None]


def test_names_that_need_quoting_are_names_in_every_mode(stored: tuple[str, Read], tmp_path: Path) -> None:
    uri, read = stored
    names = ["Größe (m²)", "select", 'a "quoted" one', "it's", "back`tick", "per%20cent", "dash-ed"]
    rows = pa.record_batch({"id": [1, 2], **{name: ["'; DROP TABLE x; --", "\u00e9"] for name in names}})
    _commit(f"{uri}&mode=upsert&key=id,select", tmp_path, rows)
    _commit(f"{uri}&mode=upsert&key=id,select", tmp_path, rows.slice(1), "run-2")
    assert sorted(read().to_pylist(), key=lambda row: row["id"]) == rows.to_pylist()
    _commit(f"{uri}&mode=overwrite", tmp_path, rows.slice(1), "run-3")
    assert read().to_pylist() == rows.slice(1).to_pylist()


def test_a_disk_that_is_full_at_the_commit_leaves_the_table_as_it_was(stored: tuple[str, Read], tmp_path: Path) -> None:
    """No file may grow beyond 100 bytes from then on, until the next attempt: any user can set such a limit."""
    uri, read = stored
    _commit(uri, tmp_path, batch(0, 10), "run-0")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limits, seen = iter([(100, hard)]), []

    def full(step: str) -> None:
        if step == "loaded":
            seen.append(sorted(read().column("id").to_pylist()))
            resource.setrlimit(resource.RLIMIT_FSIZE, next(limits, (soft, hard)))

    try:
        with contextlib.suppress(OSError):  # of Iceberg; Delta's attempt is one that is tried again
            _commit(uri, tmp_path, batch(10, 20), "run-1", full)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        _commit(uri, tmp_path, batch(10, 20), "run-1", full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert seen == [list(range(10))] * 2, "it took two attempts, and the first one left nothing"
    assert sorted(read().column("id").to_pylist()) == list(range(20))
