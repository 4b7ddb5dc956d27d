"""Redshift as a sink, as far as it goes without one: all statements but COPY are PostgreSQL's to judge.

`parquet_read_by_the_test` stands in COPY's place: it reads what was staged in S3 and puts it into the same table.
"""

from __future__ import annotations

import datetime
import decimal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import storage
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.tables.databases import redshift
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Committed
from beam_pipelines.sql.names import Name
from beam_pipelines.sql.postgresql.connection import Session
from tests.servers.postgresql import PostgreSQL
from tests.sink.tables.staging import commit, refused, staged

NOON = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
SECONDS = 60


def parquet_read_by_the_test(session: Session, into: Name, folder: str, _: str) -> None:
    """What COPY does, as its documentation has it: all files below a folder, columns by their order."""
    tables = []
    for path in storage.list_below(folder.rstrip("/")):
        with storage.open_to_read(path) as stored:
            tables.append(pq.read_table(stored))
    rows = pa.concat_tables(tables)
    names = [row[0] for row in session.ask(f"SELECT * FROM {into.quoted()} LIMIT 0")] or rows.column_names
    session.cursor.adbc_ingest(into.table, rows.rename_columns(names), mode="append", temporary=True)


@pytest.fixture(autouse=True)
def copy_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redshift, "copy_parquet", parquet_read_by_the_test)


@pytest.fixture(autouse=True)
def folder_for_s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder stands in S3's place, which nothing may be left in; files in S3 are tested for the lake."""
    below, delete, create = storage.list_below, storage.delete_below, storage.create
    stage = tmp_path / "s3"

    def local(path: str) -> str:
        return path.replace("s3://bucket", str(stage))

    monkeypatch.setattr(storage, "list_below", lambda path: below(local(path)))
    monkeypatch.setattr(storage, "delete_below", lambda path: delete(local(path)))
    monkeypatch.setattr(storage, "create", lambda path: create(local(path)))
    yield
    assert not [path for path in stage.rglob("*") if path.is_file()]


@pytest.fixture
def start(postgresql: PostgreSQL) -> tuple[str, str]:
    """How a URI begins and ends."""
    return postgresql.uri("").replace("postgresql://", "redshift://"), "?stage=s3://bucket/stage"


def _rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "note": ["ok"] * len(ids)})


def test_copy_is_the_statement_of_redshifts_documentation() -> None:
    role = "arn:aws:iam::123456789012:role/loads"
    assert redshift.copy_statement(Name("", 'a"b'), "s3://b/it's/", role) == (
        f"COPY \"a\"\"b\" FROM 's3://b/it''s/' IAM_ROLE '{role}' FORMAT AS PARQUET"
    )


def test_a_commit_of_one_id_counts_once(postgresql: PostgreSQL, start: tuple[str, str], tmp_path: Path) -> None:
    table = postgresql.table("id bigint, note varchar(9)")
    uri = table.join(start)
    assert not commit(uri, tmp_path, _rows(1, 2), _rows(3)).before
    assert commit(uri, tmp_path, _rows(1, 2), _rows(3)).before
    assert not commit(uri + "&mode=replace", tmp_path, _rows(4), id="run-2").before
    assert postgresql.ask(f"SELECT id FROM {table}") == [(4,)]


def test_an_upsert_deletes_what_is_older_and_inserts_what_is_missing(
    postgresql: PostgreSQL, start: tuple[str, str], tmp_path: Path
) -> None:
    rows = [("b", 5, 50), ("c", None, 0), ("d", 1, 1)]
    table = postgresql.table("name varchar(9), version int, n int", rows)
    uri = table.join(start) + "&mode=upsert&key=name&version=version"
    panes = pa.table({"name": ["a", "a", "b", "c"], "version": [2, 1, 4, 1], "n": [20, 10, 40, 1]})
    commit(uri, tmp_path, panes)
    found = f"SELECT * FROM {table} ORDER BY name"
    assert postgresql.ask(found) == [("a", 2, 20), ("b", 5, 50), ("c", 1, 1), ("d", 1, 1)]
    commit(uri, tmp_path, pa.table({"name": ["a", "b"], "version": [3, 5], "n": [30, 55]}), id="run-2")
    assert postgresql.ask(found) == [("a", 3, 30), ("b", 5, 55), ("c", 1, 1), ("d", 1, 1)]
    with pytest.raises(UsageError, match="1 times two rows have the same name and the same version"):
        commit(uri, tmp_path, pa.table({"name": ["z", "z"], "version": [1, 1], "n": [1, 2]}), id="run-3")
    assert postgresql.ask(found)[-1] == ("d", 1, 1)


def test_values_of_every_type_are_what_they_were_and_others_are_told(
    postgresql: PostgreSQL, start: tuple[str, str], tmp_path: Path
) -> None:
    table = postgresql.table(
        "a smallint, b int, c numeric(12,2), d double precision, e varchar(4), f date, g timestamp, h timestamptz, "
        "i bool"
    )
    row = {
        "a": 1,
        "b": 2,
        "c": decimal.Decimal("1.50"),
        "d": 0.1,
        "e": "'\\%s",
        "f": NOON.date(),
        "g": NOON.replace(tzinfo=None),
        "h": NOON,
        "i": True,
    }
    kinds = [pa.int64(), pa.int64(), pa.decimal128(20, 2), pa.float64(), pa.string(), pa.date32()]
    kinds += [pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.bool_()]
    schema = pa.schema(list(zip(row, kinds, strict=True)))
    rows = pa.Table.from_pylist([row, {}, {"e": "äöü"}, {"a": 40_000}], schema)
    assert refused(table.join(start), rows) == [(2, "table.too_long"), (3, "table.does_not_fit")]
    commit(table.join(start), tmp_path, rows[:2])
    assert postgresql.ask(f"SELECT * FROM {table} ORDER BY a") == [tuple(row.values()), (None,) * 9]


def test_of_two_attempts_at_once_one_writes(postgresql: PostgreSQL, start: tuple[str, str], tmp_path: Path) -> None:
    """Without any unique key, which Redshift doesn't keep."""
    table = postgresql.table("id bigint, note varchar(9)")
    postgresql.do(
        "CREATE TABLE unkept (target text, commit_id text, row_count bigint, committed_at timestamp)",
    )
    sink = table_of(table.join(start) + "&commits=unkept", _rows().schema)
    files = staged(tmp_path, _rows(1, 2))
    results: list[Committed] = []
    thread = threading.Thread(target=lambda: results.append(sink.commit("run-1", files, no_step)), daemon=True)

    def overtake(step: str) -> None:
        if step == "loaded":
            thread.start()
            until = time.monotonic() + SECONDS
            while not postgresql.ask("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert time.monotonic() < until
                time.sleep(0.05)

    first = sink.commit("run-1", files, overtake)
    thread.join(SECONDS)
    assert (first.before, [each.before for each in results]) == (False, [True])
    assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(2,)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("mode=upsert", r"\?mode=upsert needs \?key=COLUMNS"),
        ("create=true", r"\?create: make the table yourself"),
        ("iam_role=x' DELETE", r"\?iam_role: .*is no role"),
        ("mode=upsert&key=id", "the rows have no column more: its values would be gone"),
    ],
)
def test_what_does_not_go_is_told(postgresql: PostgreSQL, start: tuple[str, str], options: str, words: str) -> None:
    table = postgresql.table("id bigint, note varchar(9), more int")
    with pytest.raises(UsageError, match=words):
        table_of(f"{table.join(start)}&{options}", _rows().schema).check()
    with pytest.raises(UsageError, match="stage"):
        table_of(table.join(start).partition("?")[0], _rows().schema).check()
