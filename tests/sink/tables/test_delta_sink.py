"""Rows into Delta tables, and out of them: what commits do, and what is refused before anything is."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable as Opened
from deltalake import write_deltalake

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.tables import known as sources
from beam_pipelines.sink.tables.delta.table import DeltaTable
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import StagedFile
from tests.sink.tables.killed import ROWS, batch, stage


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "orders"


def uri(place: Path, **options: object) -> str:
    return f"delta://{place}?" + "&".join(f"{name}={value}" for name, value in options.items())


def table(place: Path, schema: pa.Schema = ROWS, **options: object) -> DeltaTable:
    found = table_of(uri(place, **{"create": "true", **options}), schema)
    assert isinstance(found, DeltaTable)
    found.check()
    return found


def staged(place: Path, into: DeltaTable, *batches: pa.RecordBatch, run: str = "run-1") -> list[StagedFile]:
    lake = str(place.parent / "lake")
    return [
        StagedFile(f"{lake}/_runs/{run}/tmp/{file.path}", file.rows, file.bytes)
        for file in stage(into, lake, run, *batches)
    ]


def commit(place: Path, commit_id: str, *batches: pa.RecordBatch, schema: pa.Schema = ROWS, **options: object) -> None:
    into = table(place, schema, **options)
    into.commit(commit_id, staged(place, into, *batches, run=commit_id), lambda _: None)


def rows(place: Path, **options: object) -> list[dict[str, Any]]:
    source = sources.table_of(uri(place, **options))
    source.check()
    return [row for part in source.parts() for found in source.read(part) for row in found.to_pylist()]


def ids(place: Path, **options: object) -> list[int]:
    return sorted(row["id"] for row in rows(place, **options))


def test_a_commit_is_one_version_and_a_second_one_is_none(place: Path) -> None:
    into = table(place, partition_by="country")
    first = into.commit("run-1", staged(place, into, batch(0, 10), batch(10, 20)), lambda _: None)
    assert (first.rows, first.before) == (20, False)
    again = into.commit("run-1", staged(place, into, batch(0, 20)), lambda _: None)
    assert (again.rows, again.before) == (20, True)
    assert Opened(place).version() == 1
    told = sorted(batch(0, 20).to_pylist(), key=lambda row: row["id"])
    assert sorted(rows(place), key=lambda row: row["id"]) == told


def test_readers_skip_files_by_what_the_log_says_of_them(place: Path) -> None:
    commit(place, "run-1", batch(0, 10))
    commit(place, "run-2", batch(10, 20))
    for predicate in ("id >= 10", "placed_at >= '2024-03-01T10:00:00Z'"):
        assert len(Opened(place).file_uris(file_pruning_predicate=predicate)) == 1
        assert ids(place, where=predicate.replace(" ", "%20")) == list(range(10, 20))


def test_an_upsert_replaces_rows_of_the_same_key(place: Path) -> None:
    options = {"mode": "upsert", "key": "id", "partition_by": "country"}
    commit(place, "run-1", batch(0, 100, "DE"), **options)
    commit(place, "run-2", batch(90, 110, "IT"), **options)
    found = {row["id"]: (row["country"], row["amount"]) for row in rows(place)}
    assert sorted(found) == list(range(110))
    assert (found[89], found[87], found[91]) == (
        (None, Decimal("22.25")),
        ("DE", Decimal("21.75")),
        ("IT", Decimal("22.75")),
    )
    with pytest.raises(UsageError, match=r"2 keys \(id\) come more than once in one commit"):
        commit(place, "run-3", batch(0, 5), batch(3, 5), **options)
    assert len(ids(place)) == 110


def test_overwrite_replaces_the_partitions_that_rows_are_in(place: Path) -> None:
    options = {"mode": "overwrite", "partition_by": "country"}
    commit(place, "run-1", batch(0, 10, "DE"), **options)
    commit(place, "run-2", batch(100, 102, "DE"), **options)
    assert ids(place) == [9, 100, 101]


def test_overwrite_of_a_table_without_partitions_replaces_all_even_by_nothing(place: Path) -> None:
    commit(place, "run-1", batch(0, 10), mode="overwrite")
    commit(place, "run-2", batch(5, 7), mode="overwrite")
    assert ids(place) == [5, 6]
    commit(place, "run-3", mode="overwrite")
    assert ids(place) == []


def test_another_writers_commit_in_between_is_kept_and_ours_is_tried_again(place: Path) -> None:
    into = table(place, mode="overwrite")
    commit(place, "run-0", batch(0, 10))
    others = iter([batch(10, 20)])

    def meanwhile(step: str) -> None:
        if step == "loaded" and (more := next(others, None)) is not None:
            commit(place, "other", more)

    into.commit("run-1", staged(place, into, batch(30, 40)), meanwhile)
    assert ids(place) == list(range(30, 40))  # what the other wrote before it is overwritten too


def test_two_attempts_of_one_commit_at_the_same_moment_are_one(place: Path) -> None:
    into = table(place)
    into.commit("run-0", staged(place, into, batch(100, 110), run="run-0"), lambda _: None)
    start, told, failed = threading.Barrier(3), [], []

    def attempt(run: str) -> None:
        files, waited = staged(place, into, batch(0, 10), run=run), iter([None])

        def together(step: str) -> None:
            if step == "loaded" and next(waited, 0) is None:
                start.wait(60)

        try:
            told.append(into.commit("run-1", files, together))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=attempt, args=(f"attempt-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(committed.before for committed in told) == [False, True, True]
    assert ids(place) == [*range(10), *range(100, 110)]


def test_partition_values_of_every_type_come_back(place: Path) -> None:
    schema = pa.schema(
        [("id", pa.int64()), ("day", pa.date32()), ("at", pa.timestamp("us", "UTC")), ("odd", pa.string())]
    )
    when = datetime(2024, 3, 1, 13, 5, 7, 123456, tzinfo=timezone.utc)
    told = [
        {"id": 1, "day": when.date(), "at": when, "odd": "a/b=c d%2Fé"},
        {"id": 2, "day": None, "at": None, "odd": None},
    ]
    commit(place, "run-1", pa.RecordBatch.from_pylist(told, schema), schema=schema, partition_by="day,at,odd")
    assert sorted(rows(place), key=lambda row: row["id"]) == told


def test_older_versions_are_read_and_what_came_after_one(place: Path) -> None:
    for number in range(3):
        commit(place, f"run-{number}", batch(10 * number, 10 * number + 10))
    assert ids(place, version=1) == list(range(10))
    assert ids(place, after=1) == list(range(10, 30))
    assert ids(place, after=1, version=2) == list(range(10, 20))
    second = Opened(place).history()[1]["timestamp"]
    then = datetime.fromtimestamp(second / 1000, timezone.utc).isoformat().replace("+", "%2B")
    assert ids(place, as_of=then) == list(range(20))
    commit(place, "run-3", batch(5, 6), mode="upsert", key="id")
    with pytest.raises(UsageError, match=r"\?after=1: .* files were replaced since"):
        ids(place, after=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 9}, r"\?version=9: there is no such version, or it is gone. The newest is 1"),
        ({"after": 9}, r"\?after=9: there is no such version before 1"),
        ({"as_of": "yesterday"}, r"'yesterday' is not a time"),
        ({"where": "idd%20=%201"}, r"\?where=idd = 1: "),
        ({"version": 1, "as_of": "2024-01-01"}, r"\?version and \?as_of both say which version"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(place: Path, options: dict[str, object], message: str) -> None:
    commit(place, "run-1", batch(0, 3))
    with pytest.raises(UsageError, match=message):
        rows(place, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"create": "false"}, r"delta:///.*/orders: there is no Delta table"),
        ({"mode": "upsert"}, r"\?mode=upsert needs \?key"),
        ({"mode": "upsert", "key": "idd"}, r"\?key: 'idd' is no column. Did you mean 'id'\?"),
        ({"partition_by": "contry"}, r"\?partition_by: partition column 'contry' is not a column"),
        ({"storage": "aws_secret_access_key=abc"}, r"names a secret: write secret_storage=aws_secret_access_key="),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    place: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        table(place, **options)
    assert "=abc" not in str(refused.value)


def test_a_table_with_rules_that_an_engine_has_to_check_is_left_to_one(place: Path) -> None:
    commit(place, "run-1", batch(0, 3))
    Opened(place).alter.add_constraint({"positive": "id >= 0"})
    with pytest.raises(UsageError, match=r"the table has delta.constraints.positive, which has to be heeded"):
        table(place)


def test_a_table_that_changes_between_staging_and_commit_is_told(place: Path) -> None:
    commit(place, "run-0", batch(0, 5))
    into = table(place)
    files = staged(place, into, batch(5, 10))
    texts = pa.table({"id": ["a"], "country": ["DE"]})
    write_deltalake(place, texts, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(UsageError, match=r"was changed while rows for it were written: column 'id' isn't"):
        into.commit("run-1", files, lambda _: None)
    write_deltalake(place, pa.Table.from_batches([batch(0, 1)]), mode="overwrite", schema_mode="overwrite")
    into.commit("run-1", files, lambda _: None)
    assert ids(place) == [0, *range(5, 10)]


def test_what_killed_attempts_left_is_swept_by_the_one_that_commits(place: Path) -> None:
    into = table(place)
    left = place / "run-1" / "left.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")
    into.commit("run-1", staged(place, into, batch(0, 3)), lambda _: None)
    assert not left.exists()
    assert ids(place) == [0, 1, 2]
