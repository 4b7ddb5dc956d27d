"""Rows into BigQuery's tables: what commits do, and what of rows is refused before."""

from __future__ import annotations

import pickle
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines import WriteToTable
from beam_pipelines.errors import UsageError
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import StagedFile
from tests.servers.bigquery import DATASET, BigQuery
from tests.sink.tables.staging import commit, refused, staged

WHEN = datetime(2024, 3, 1, 12, tzinfo=timezone.utc)


def _rows(*ids: int, note: str = "ok") -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "note": pa.array([note] * len(ids), pa.string())})


def test_a_commit_is_one_job_and_a_second_one_is_none(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table("id INTEGER, note STRING")
    uri = bigquery_server.uri(table)
    first = commit(uri, tmp_path, _rows(1, 2), _rows(3))
    again = commit(uri, tmp_path, _rows(1, 2), _rows(3))
    assert (first.rows, first.before, again.rows, again.before) == (3, False, 3, True)
    assert first.told == again.told
    assert [row["id"] for row in bigquery_server.rows(table)] == [1, 2, 3]
    assert not commit(uri, tmp_path, _rows(4), id="run-2").before
    assert [row["id"] for row in bigquery_server.rows(table)] == [1, 2, 3, 4]


def test_files_on_google_cloud_storage_are_loaded_where_they_are(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table("id INTEGER, note STRING")
    bucket = bigquery_server.front.emulator.files / "lake"
    bucket.mkdir(exist_ok=True)
    files = []
    for number in (1, 2):
        pq.write_table(_rows(number), bucket / f"{number}.parquet")
        files.append(StagedFile(f"gs://lake/{number}.parquet", 1, 100))
    told = table_of(bigquery_server.uri(table), _rows(1).schema).commit("run-1", files, no_step)
    assert bigquery_server.front.jobs[str(told.told["job"])]["configuration"]["load"]["sourceUris"]  # type: ignore[index]
    assert [row["id"] for row in bigquery_server.rows(table)] == [1, 2]
    assert not [each for each in bigquery_server.front.asked[-8:] if "upload" in each]


def test_a_table_is_made_as_the_rows_and_the_options_say(bigquery_server: BigQuery, tmp_path: Path) -> None:
    inner = pa.struct([pa.field("sku", pa.string(), False), pa.field("n", pa.int32())])
    rows = pa.table(
        {
            "id": pa.array([1], pa.int32()),
            "price": pa.array([Decimal("1.25")], pa.decimal128(12, 2)),
            "at": pa.array([WHEN], pa.timestamp("us", "UTC")),
            "local": pa.array([WHEN.replace(tzinfo=None)], pa.timestamp("ms")),
            "day": [date(2024, 3, 1)],
            "noon": pa.array([time(12)], pa.time64("us")),
            "raw": [b"\0"],
            "ratio": [0.5],
            "open": [True],
            "country": ["DE"],
            "tags": [["a", "b"]],
            "items": pa.array([[{"sku": "x", "n": 2}]], pa.list_(inner)),
            "labels": pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
        }
    )
    options = "create=true&key=id&partition_by=month(at),country&cluster_by=open"
    with beam.Pipeline("FnApiRunner") as pipeline:
        written = pipeline | beam.Create(rows.to_batches())
        _ = written | WriteToTable(
            bigquery_server.uri("made", options), rows.schema, staging=str(tmp_path), commit_id="run-1"
        )
    made = bigquery_server.described("made")
    assert {field.name: (field.field_type, field.mode) for field in made.schema} == {
        "id": ("INTEGER", "REQUIRED"),
        "price": ("NUMERIC", "NULLABLE"),
        "at": ("TIMESTAMP", "NULLABLE"),
        "local": ("DATETIME", "NULLABLE"),
        "day": ("DATE", "NULLABLE"),
        "noon": ("TIME", "NULLABLE"),
        "raw": ("BYTES", "NULLABLE"),
        "ratio": ("FLOAT", "NULLABLE"),
        "open": ("BOOLEAN", "NULLABLE"),
        "country": ("STRING", "NULLABLE"),
        "tags": ("STRING", "REPEATED"),
        "items": ("RECORD", "REPEATED"),
        "labels": ("RECORD", "REPEATED"),
    }
    assert (made.time_partitioning.type_, made.time_partitioning.field) == ("MONTH", "at")
    assert made.clustering_fields == ["country", "open"]
    (row,) = bigquery_server.ask(f"SELECT * FROM {DATASET}.made")
    assert row == {
        **rows.drop_columns(["labels"]).to_pylist()[0],
        "labels": [{"key": "k", "value": "v"}],
    }


def test_an_upsert_replaces_rows_of_the_same_key_by_newer_ones(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table("id INTEGER, note STRING, more STRING, v INTEGER")

    def rows(*told: tuple[int, str, int]) -> pa.Table:
        return pa.table({name: [row[place] for row in told] for place, name in enumerate(("id", "note", "v"))})

    uri = bigquery_server.uri(table, "mode=upsert&key=id&version=v")
    commit(uri, tmp_path, rows((1, "first", 5), (2, "first", 5)))
    bigquery_server.ask(f"UPDATE {DATASET}.{table} SET more = 'kept' WHERE true")
    commit(uri, tmp_path, rows((1, "older", 4), (2, "newer", 6), (2, "newest", 7), (3, "new", 1)), id="run-2")
    assert [tuple(row.values()) for row in bigquery_server.rows(table)] == [
        (1, "first", "kept", 5),
        (2, "newest", "kept", 7),
        (3, "new", None, 1),
    ]
    with pytest.raises(UsageError, match="1 times two rows have the same id and the same v: which of them"):
        commit(uri, tmp_path, rows((4, "a", 1), (4, "b", 1)), id="run-3")
    with pytest.raises(UsageError, match=r"1 times two rows have the same id: .* Say \?version=COLUMN"):
        commit(bigquery_server.uri(table, "mode=upsert&key=id"), tmp_path, rows((4, "a", 1), (4, "b", 2)), id="run-4")
    assert len(bigquery_server.rows(table)) == 3


def test_replace_leaves_the_rows_of_the_last_commit_alone_even_none(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table("id INTEGER, note STRING, more STRING")
    uri = bigquery_server.uri(table, "mode=replace")
    commit(uri, tmp_path, _rows(1, 2))
    commit(uri, tmp_path, _rows(3), id="run-2")
    assert [row["id"] for row in bigquery_server.rows(table)] == [3]
    assert [field.name for field in bigquery_server.described(table).schema] == ["id", "note", "more"]
    commit(uri, tmp_path, _rows(), id="run-3")
    assert bigquery_server.rows(table) == []


@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_texts_become_json_where_the_table_has_json(bigquery_server: BigQuery, tmp_path: Path, mode: str) -> None:
    table = bigquery_server.table("id INTEGER, told JSON")
    uri = bigquery_server.uri(table, f"mode={mode}&key=id")
    rows = pa.table({"id": [1, 2, 3], "told": ['{"a": [1]}', None, '"text"']})
    commit(uri, tmp_path, rows)
    assert commit(uri, tmp_path, rows).before
    assert [row["told"] for row in bigquery_server.rows(table)] == [{"a": [1]}, None, "text"]
    assert not [each for each in bigquery_server.client.list_tables(DATASET) if "beam_pipelines_" in each.table_id]
    assert refused(uri, pa.table({"id": [1, 2], "told": ["{no", "1"]})) == [(0, "table.does_not_fit")]


def test_rows_that_the_table_can_not_take_are_known_before(bigquery_server: BigQuery) -> None:
    table = bigquery_server.table("id INTEGER REQUIRED, n NUMERIC, at TIMESTAMP, day DATE, tags STRING REPEATED")
    far = pa.array([0, None, None, 10**18, None, None], pa.int64())  # microseconds: the year 33658
    rows = pa.table(
        {
            "id": pa.array([1, None, 3, 4, 5, 6], pa.int64()),
            "n": pa.array([Decimal(1), None, Decimal("1e30"), None, None, None], pa.decimal256(40, 0)),
            "at": far.cast(pa.timestamp("us", "UTC")),
            "day": pa.array([0, None, None, None, 10**7, None], pa.int32()).cast(pa.date32()),
            "tags": [["a"], None, [], [], [], ["a", None]],
        }
    )
    assert sorted(refused(bigquery_server.uri(table), rows)) == [
        (1, "table.required"),
        (2, "table.does_not_fit"),
        (3, "table.does_not_fit"),
        (4, "table.does_not_fit"),
        (5, "table.required"),
    ]


def test_a_pipeline_writes_rows_and_hands_on_those_that_do_not_fit(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table("id INTEGER REQUIRED, note STRING")
    rows = pa.table({"id": pa.array([1, None, 2], pa.int64()), "note": ["a", "b", "c"]})
    for _ in range(2):
        with beam.Pipeline("FnApiRunner") as pipeline:
            write = WriteToTable(
                bigquery_server.uri(table), rows.schema, staging=str(tmp_path / "staging"), commit_id="run-1"
            )
            written = pipeline | beam.Create(rows.to_batches()) | write
            letters = written.dead_letters | beam.FlatMap(
                lambda batch: [(row["rule"], row["field"], row["payload"]) for row in batch.to_pylist()]
            )
            assert_that(letters, equal_to([("table.required", "id", b'{"id":null,"note":"b"}')]))
    assert bigquery_server.rows(table) == [{"id": 1, "note": "a"}, {"id": 2, "note": "c"}]


def test_a_table_travels_and_is_compared_by_value(bigquery_server: BigQuery) -> None:
    uri = bigquery_server.uri("any", "credentials=env:KEY")
    table = table_of(uri, _rows(1).schema)
    assert pickle.loads(pickle.dumps(table)) == table == table_of(uri, _rows(1).schema)
    assert hash(table) == hash(table_of(uri, _rows(1).schema))
    assert table.name == f"bigquery://shop.{DATASET}.any"


def test_staged_files_that_are_gone_are_an_error_of_files(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table("id INTEGER, note STRING")
    files = staged(tmp_path, _rows(1), _rows(2))
    Path(files[0].path).unlink()
    with pytest.raises(FileNotFoundError):
        table_of(bigquery_server.uri(table), _rows(1).schema).commit("run-1", files, no_step)
    assert bigquery_server.rows(table) == []
