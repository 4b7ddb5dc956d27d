"""BigQuery as a sink when something is wrong: a clear error without anybody's values, or it passes by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Committed, StagedFile
from tests.servers.bigquery import DATASET, BigQuery
from tests.servers.bigquery_front import Fault
from tests.sink.tables.staging import commit, staged

ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "note": ["secret-a", "secret-b"]})
COLUMNS = "id INTEGER, note STRING"


@pytest.fixture(autouse=True)
def mended(bigquery_server: BigQuery) -> Iterator[None]:
    yield
    left = [*bigquery_server.front.faults]
    bigquery_server.front.faults.clear()
    bigquery_server.front.denied.clear()
    assert not left, "a fault that was asked for didn't happen"


def _error(server: BigQuery, table: str, options: str = "", rows: pa.Table = ROWS) -> str:
    uri = table if "://" in table else server.uri(table, options)
    with pytest.raises(UsageError) as raised:
        table_of(uri, rows.schema).check()
    return str(raised.value)


def test_what_is_not_there_is_named_with_what_is_near(bigquery_server: BigQuery) -> None:
    bigquery_server.table("idd INTEGER, note STRING", name="near_orders")
    assert "there is no such table. Did you mean 'near_orders'?" in _error(bigquery_server, "near_ordres")
    assert "the table has no column 'id'. Did you mean 'idd'? Or say ?evolve=true" in _error(
        bigquery_server, "near_orders"
    )
    elsewhere = bigquery_server.uri("t").replace(f".{DATASET}.", ".sails.")
    assert "Nor is there a dataset 'sails' in project 'shop'." in _error(bigquery_server, elsewhere)
    assert "?modus is not an option of bigquery://" in _error(bigquery_server, "t", "modus=upsert")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("bigquery://orders", "names no table: write bigquery://PROJECT.DATASET.TABLE"),
        ("bigquery://shop.sales/orders", "names no table"),
        ("bigquery://shop.sales.a`; DROP TABLE b", "'a`; DROP TABLE b' is no name of a table"),
        ("bigquery://shop.sa-les.orders", "'sa-les' is no name of a dataset"),
        ("bigquery://shop.sales.orders?credentials=hunter2", "?credentials: is a secret"),
    ],
)
def test_what_is_no_table_is_refused_before_anything_is_asked(
    bigquery_server: BigQuery, where: str, words: str
) -> None:
    told = _error(bigquery_server, where)
    assert words in told
    assert "hunter2" not in told


def test_types_keys_and_options_that_do_not_go_together_are_refused(bigquery_server: BigQuery) -> None:
    table = bigquery_server.table("id STRING, note INTEGER, more STRING REQUIRED")
    told = _error(bigquery_server, table)
    assert "column 'id' is string in the table, and int64 in the rows" in told
    assert "the table needs a value of 'more', which the rows don't have" in told
    plain = bigquery_server.table(COLUMNS)
    assert "?mode=upsert needs ?key, since the table has no primary key" in _error(
        bigquery_server, plain, "mode=upsert"
    )
    assert "?key: 'idd' is no column. Did you mean 'id'?" in _error(bigquery_server, plain, "mode=upsert&key=idd")
    assert "?version is for nothing without ?mode=upsert" in _error(bigquery_server, plain, "version=id")
    assert "?version: 'id' is part of the key" in _error(bigquery_server, plain, "mode=upsert&key=id&version=id")
    new = "create=true&partition_by="
    assert "'day(note)': 'note' is string, and no time" in _error(bigquery_server, "new", f"{new}day(note)")
    assert "'week(id)' is no partition of BigQuery" in _error(bigquery_server, "new", f"{new}week(id)")
    wide = pa.table({f"c{number}": [1] for number in range(10_001)})
    assert "10,001 columns, and a table has at most 10,000" in _error(bigquery_server, "w", "create=true", rows=wide)
    odd = pa.table({"a`b": [1], "_PARTITION_x": [1], "A": [1], "a": [1], "in": [[[1]]]})
    told = _error(bigquery_server, "w", "create=true", rows=odd)
    for words in ("'a`b': is no name", "'_PARTITION_x': is no name", "'a': differs from", "no arrays in arrays"):
        assert words in told


def test_rights_that_are_missing_are_told_before_anything_runs(bigquery_server: BigQuery) -> None:
    table = bigquery_server.table(COLUMNS)
    bigquery_server.front.denied.add("bigquery.tables.updateData")
    assert "we lack bigquery.tables.updateData: grant bigquery.dataEditor" in _error(bigquery_server, table)
    bigquery_server.front.denied = {"bigquery.tables.getData"}
    table_of(bigquery_server.uri(table), ROWS.schema).check()
    assert "we lack bigquery.tables.getData: grant" in _error(bigquery_server, table, "mode=upsert&key=id")
    bigquery_server.front.faults.append(Fault("POST .*/jobs", 403, "accessDenied"))
    assert "is refused: grant it bigquery.dataEditor on the dataset and bigquery.jobUser" in _error(
        bigquery_server, table
    )


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize(
    ("status", "reason"), [(429, "rateLimitExceeded"), (503, "backendError"), (403, "rateLimitExceeded")]
)
def test_throttling_passes_whether_or_not_it_was_done(
    bigquery_server: BigQuery, tmp_path: Path, mode: str, status: int, reason: str
) -> None:
    table = bigquery_server.table(COLUMNS)
    uri = bigquery_server.uri(table, f"mode={mode}&key=id")
    requests = ("GET .*/tables/", "GET .*/jobs/beam", "(PUT|POST) .*/jobs", "DELETE" if mode == "upsert" else "GET")
    for applied in (False, True):
        bigquery_server.front.faults += [Fault(each, status, reason, applied) for each in requests]
        told = commit(uri, tmp_path, ROWS, id=f"run-{applied}")
        assert told.rows == 2
    rows = [row["id"] for row in bigquery_server.rows(table)]
    assert rows == ([1, 2] if mode == "upsert" else [1, 1, 2, 2])


def test_a_quota_is_told_and_what_to_do(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table(COLUMNS)
    bigquery_server.front.faults.append(Fault("POST /upload", 403, "quotaExceeded"))
    with pytest.raises(UsageError, match="is over a quota of the project: wait, or have it raised"):
        commit(bigquery_server.uri(table), tmp_path, ROWS)
    assert bigquery_server.rows(table) == []
    assert not commit(bigquery_server.uri(table), tmp_path, ROWS).before


def test_a_job_that_fails_fails_the_run_and_the_next_attempt_has_another(
    bigquery_server: BigQuery, tmp_path: Path
) -> None:
    """Rows are judged before; here the table changes after they were."""
    rows = pa.table({"id": pa.array([None, 2], pa.int64()), "note": ["secret-a", "secret-b"]})
    files = staged(tmp_path, rows)
    strict = bigquery_server.table("id INTEGER REQUIRED, note STRING")
    sink = table_of(bigquery_server.uri(strict), ROWS.schema)
    with pytest.raises(UsageError, match=r"job beam_pipelines_\w+_0 failed: a row doesn't fit .*Nothing was") as raised:
        sink.commit("run-1", files, no_step)
    assert "secret" not in str(raised.value)
    assert "(column 'id')" in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    told = sink.commit("run-1", staged(tmp_path, ROWS), no_step)
    assert not told.before
    assert str(told.told["job"]).endswith("_1")
    assert sink.commit("run-1", staged(tmp_path, ROWS), no_step).before
    assert len(bigquery_server.rows(strict)) == 2


def test_of_two_attempts_at_once_one_writes(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table(COLUMNS)
    sink = table_of(bigquery_server.uri(table), ROWS.schema)
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
    assert len(bigquery_server.rows(table)) == 2


def test_a_file_that_is_gone_from_google_cloud_storage_is_told(bigquery_server: BigQuery) -> None:
    table = bigquery_server.table(COLUMNS)
    files = [StagedFile("gs://lake/none.parquet", 2, 100)]
    with pytest.raises(UsageError, match=r"Not found: URI gs://lake/none\.parquet\. Nothing was written"):
        table_of(bigquery_server.uri(table), ROWS.schema).commit("run-1", files, no_step)


def test_names_that_need_quoting_are_names_and_values_are_values(bigquery_server: BigQuery, tmp_path: Path) -> None:
    odd = "a OR 1=1 -- #"
    rows = pa.table({"id": [1], "group by": ["'); DROP TABLE t; --"], "select": ['`x` \\ "y"'], odd: ["ü"]})
    uri = bigquery_server.uri("odd", "create=true&mode=upsert&key=id")
    for run in ("run-1", "run-2"):
        commit(uri, tmp_path, rows, id=run)
    assert bigquery_server.rows("odd") == rows.to_pylist()


def test_credentials_that_are_none_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key.json"
    key.write_text('{"type": "service_account", "private_key": "hunter2"}')
    uri = f"bigquery://shop.sales.orders?credentials=file:{key}"
    with pytest.raises(UsageError, match=r"\?credentials: is no key of a service account") as raised:
        table_of(uri, ROWS.schema).check()
    assert "hunter2" not in str(raised.value)
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match=r"there are no credentials that Google takes: .*none\.json was not found"):
        table_of("bigquery://shop.sales.orders", ROWS.schema).check()


def test_another_endpoint_is_found_by_the_clients_variable(
    bigquery_server: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = bigquery_server.table(COLUMNS)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_server.front.url)
    table_of(f"bigquery://shop.{DATASET}.{table}", ROWS.schema).check()
