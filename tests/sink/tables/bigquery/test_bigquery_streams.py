"""Rows into BigQuery by write streams: at offsets, shown once, and what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import grpc
import pyarrow as pa
import pytest
from google.cloud.bigquery_storage_v1 import types

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.sink import storage, stream_commits
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.stream_commits import StreamRecord
from beam_pipelines.sink.tables.bigquery import streams
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Committed
from tests.pipelines.test_windows import CONTRACT
from tests.servers.bigquery import BigQuery
from tests.sink.tables import killed
from tests.sink.tables.staging import commit, staged

ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "note": ["secret-a", "secret-b"]})
COLUMNS = "id INTEGER, note STRING"
STREAM = "method=storage_write"


@pytest.fixture(autouse=True)
def mended(bigquery_server: BigQuery) -> Iterator[None]:
    bigquery_server.storage.asked.clear()
    yield
    left = [*bigquery_server.storage.faults]
    bigquery_server.storage.faults.clear()
    assert not left, "a fault that was asked for didn't happen"


def test_a_commit_is_one_stream_and_a_second_one_is_none(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table("id INTEGER, n NUMERIC, at TIMESTAMP, day DATE, tags STRING REPEATED, more STRING")
    rows = pa.table(
        {
            "day": [date(2024, 3, 1)],
            "id": pa.array([1], pa.int32()),
            "n": pa.array([Decimal("1.25")], pa.decimal128(5, 2)),
            "at": pa.array([datetime(2024, 3, 1, tzinfo=timezone.utc)], pa.timestamp("ms", "UTC")),
            "tags": [["a", "b"]],
        }
    )
    uri = bigquery_server.uri(table, STREAM)
    first, again = (commit(uri, tmp_path, rows, rows) for _ in range(2))
    assert (first.rows, first.before, again.rows, again.before) == (2, False, 2, True)
    assert first.told == again.told
    (row, same) = bigquery_server.rows(table)
    assert row == same == {**rows.to_pylist()[0], "more": None}
    assert commit(uri, tmp_path, rows.slice(0, 0), id="run-2").told == {}


def test_many_rows_go_in_many_requests_and_on_where_a_connection_was_cut(
    bigquery_server: BigQuery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "REQUEST_BYTES", 2_000)
    table = bigquery_server.table(COLUMNS)
    rows = pa.table({"id": pa.array(range(1_000), pa.int64()), "note": ["x" * 10] * 1_000})
    unavailable = grpc.StatusCode.UNAVAILABLE
    bigquery_server.storage.faults += [
        ("CreateWriteStream", unavailable, False),
        ("AppendRows", unavailable, True),
        ("AppendRows", unavailable, True),
        ("FinalizeWriteStream", unavailable, True),
        ("BatchCommitWriteStreams", unavailable, False),
        ("BatchCommitWriteStreams", unavailable, True),
    ]
    told = commit(bigquery_server.uri(table, STREAM), tmp_path, rows, rows.slice(0, 10))
    assert told.rows == 1_010
    assert bigquery_server.storage.asked.count("AppendRows") > 10
    assert bigquery_server.storage.asked.count("CreateWriteStream") == 2
    assert sorted(row["id"] for row in bigquery_server.rows(table)) == sorted([*range(1_000), *range(10)])


def test_a_stream_that_is_written_down_is_the_one_that_is_committed(bigquery_server: BigQuery, tmp_path: Path) -> None:
    """As if the process had died between the two."""
    table = bigquery_server.table(COLUMNS)
    uri = bigquery_server.uri(table, STREAM)
    bigquery_server.storage.faults.append(("BatchCommitWriteStreams", grpc.StatusCode.PERMISSION_DENIED, False))
    with pytest.raises(UsageError, match="is refused: grant it"):
        commit(uri, tmp_path, ROWS)
    assert bigquery_server.rows(table) == []
    bigquery_server.storage.asked.clear()
    assert not commit(uri, tmp_path, ROWS).before
    assert bigquery_server.storage.asked == ["BatchCommitWriteStreams"]
    assert commit(uri, tmp_path, ROWS).before
    assert len(bigquery_server.rows(table)) == 2


def test_of_two_attempts_at_once_one_stream_is_committed(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table(COLUMNS)
    sink = table_of(bigquery_server.uri(table, STREAM), ROWS.schema)
    files = staged(tmp_path, ROWS)
    start, told = threading.Barrier(3), []

    def attempt() -> None:
        told.append(sink.commit("run-1", files, lambda step: step == "loaded" and start.wait(60)))

    threads = [threading.Thread(target=attempt, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    results: list[Committed] = told
    assert sorted(each.before for each in results) == [False, True, True]
    assert len({each.told["stream"] for each in results}) == 1
    assert len(bigquery_server.rows(table)) == 2


def test_rows_that_bigquery_refuses_fail_the_commit_and_are_not_shown(
    bigquery_server: BigQuery, tmp_path: Path
) -> None:
    table = bigquery_server.table(COLUMNS)
    uri = bigquery_server.uri(table, STREAM)
    bigquery_server.storage.row_errors = [
        types.RowError(index=1, code=types.RowError.RowErrorCode.FIELDS_ERROR, message="Field note: bad 'secret-b'")
    ]
    with pytest.raises(UsageError, match=r"BigQuery refuses 1 rows \(note\), .* Nothing was written") as raised:
        commit(uri, tmp_path, ROWS)
    assert "secret" not in str(raised.value)
    assert bigquery_server.rows(table) == []
    assert not commit(uri, tmp_path, ROWS).before


def test_a_stream_that_bigquery_has_forgotten_is_told(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table(COLUMNS)
    uri = bigquery_server.uri(table, STREAM)
    told = commit(uri, tmp_path, ROWS)
    job = bigquery_server.front.jobs[str(told.told["job"])]
    assert job is not None
    query = job["configuration"]["query"]
    query["query"] = query["query"].replace("/streams/", "/streams/0")
    with pytest.raises(UsageError, match=r"can't be committed: STREAM_NOT_FOUND.* look whether its rows"):
        commit(uri, tmp_path, ROWS)


def test_staged_files_that_are_gone_are_an_error_of_files(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table(COLUMNS)
    files = staged(tmp_path, ROWS)
    Path(files[0].path).unlink()
    with pytest.raises(FileNotFoundError):
        table_of(bigquery_server.uri(table, STREAM), ROWS.schema).commit("run-1", files, no_step)


def test_streams_add_rows_and_do_no_more(bigquery_server: BigQuery) -> None:
    uri = bigquery_server.uri("any", f"{STREAM}&mode=upsert&key=id")
    with pytest.raises(UsageError, match=r"\?method=storage_write adds rows, and \?mode=upsert does more"):
        table_of(uri, ROWS.schema).check()


def test_json_and_columns_that_are_added_go_by_streams_too(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table("id INTEGER, told JSON")
    rows = pa.table({"id": pa.array([1], pa.int64()), "told": ['{"a": 1}'], "more": ["x"]})
    commit(bigquery_server.uri(table, f"{STREAM}&evolve=true"), tmp_path, rows)
    assert bigquery_server.rows(table) == [{"id": 1, "told": {"a": 1}, "more": "x"}]


@pytest.mark.parametrize("method", ["load", "storage_write"])
def test_a_bundle_of_a_stream_is_one_commit_however_often_it_is_published(
    bigquery_server: BigQuery, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = f"bundles_{bigquery_server.number()}"
    lake = str(tmp_path / "lake")
    tables = {"rows": table_of(bigquery_server.uri(table, f"create=true&method={method}"), killed.ROWS)}
    staged_ones = [
        tuple(killed.stage(tables["rows"], lake, "run-1", killed.batch(first, first + 10))) for first in (0, 10, 20)
    ]
    records = [StreamRecord(f"bundle-{number}", files, ()) for number, files in enumerate(staged_ones)]
    stream_commits.publish(lake, "run-1", records[:2], tables)
    real, failing = storage.write_if_absent, iter([True])

    def write(*asked: str) -> bool:
        if next(failing, False):
            raise ConnectionError("the worker was cut off when the table had the commit, before it was recorded")
        return real(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(storage, "write_if_absent", write)
    with pytest.raises(ConnectionError):
        stream_commits.publish(lake, "run-1", records[2:], tables)
    for _ in range(2):
        stream_commits.publish(lake, "run-1", records, tables)
    assert [row["id"] for row in bigquery_server.rows(table)] == list(range(30))


def test_a_stream_of_bundles_is_each_row_once(
    bigquery_server: BigQuery, tmp_path: Path, prism_flags: list[str]
) -> None:
    (tmp_path / "visits.odcs.yaml").write_text(CONTRACT)
    start = datetime(2024, 3, 30, 12, tzinfo=timezone.utc)
    rows = [
        {"at": (start + timedelta(seconds=number)).isoformat(), "user": "ab"[number % 2], "pages": number}
        for number in range(2_000)
    ]
    (tmp_path / "visits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table, panes = (f"{name}_{bigquery_server.number()}" for name in ("visits", "panes"))
    told = [
        *("run", "event_analytics", "--input", f"{tmp_path}/visits.jsonl", "--run_id", "r"),
        *("--contract", f"{tmp_path}/visits.odcs.yaml", "--output", str(tmp_path / "lake")),
        *("--window", "fixed:10m", "--group_by", "user", "--aggregate", "count(*) as visits"),
        *("--rows_to", bigquery_server.uri(table, f"create=true&{STREAM}"), "--replay", "--replay_rate", "2000"),
        *("--aggregates_to", bigquery_server.uri(panes, "create=true"), *prism_flags, "--streaming"),
    ]
    assert main(told) == ExitCode.OK
    assert [row["pages"] for row in bigquery_server.rows(table, "pages")] == list(range(2_000))
    assert sum(row["visits"] for row in bigquery_server.rows(panes, "window_start")) == 2_000
