"""What is wrong with rows, tables and servers, on PostgreSQL and MariaDB: a clear error, a dead letter, or it passes.

Nothing is lost, nothing is doubled, and no error tells a value of a row or a password.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pymysql
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.tables.known import table_of
from scripts import processes, toxiproxy
from scripts.kafka import PASSWORD
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.sink.tables.staging import commit, refused, staged

SECONDS = 60
SECRET = "it's a secret"
ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "note": [SECRET, SECRET]})


@dataclasses.dataclass(frozen=True)
class Store:
    """A server, and what differs in how it is spoken to."""

    kind: str
    server: PostgreSQL | MariaDB
    ask: Callable[..., list[tuple[Any, ...]]]
    connect: Callable[[], Any]
    waiting: str
    """Finds something if a session waits for another's lock."""
    first: str = ""
    """What stands before a table's name."""

    def table(self, columns: str = "id bigint, note varchar(20)") -> str:
        return self.server.table(columns)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        return self.ask(f"SELECT * FROM {self.first}{table} ORDER BY 1")

    def wait(self, found: str) -> None:
        until = time.monotonic() + SECONDS
        while not self.ask(found):
            assert time.monotonic() < until, "it didn't come to that"
            time.sleep(0.02)


@pytest.fixture(params=["postgresql", "mariadb"])
def store(request: pytest.FixtureRequest) -> Store:
    server = request.getfixturevalue(request.param)
    if isinstance(server, PostgreSQL):

        def ask(statement: str) -> list[tuple[Any, ...]]:
            with server.connect() as connection:
                done = connection.execute(statement)  # type: ignore[call-overload]
                return list(done) if done.description else []

        locks = "SELECT 1 FROM pg_locks WHERE NOT granted"
        port = server.port
        return Store(
            "postgresql",
            server,
            ask,
            lambda: psycopg.connect(host="localhost", port=port, user="postgres", dbname="postgres"),
            locks,
        )
    port = server.port
    return Store(
        "mariadb",
        server,
        server.ask,
        lambda: pymysql.connect(host="127.0.0.1", port=port, user="root", database="test"),
        "SELECT 1 FROM information_schema.innodb_lock_waits",
        "test.",
    )


def _error(store: Store, path: str, options: str = "", user: str = "", rows: pa.Table = ROWS) -> str:
    uri = store.server.uri(path, options, user) if user else store.server.uri(path, options)
    with pytest.raises(UsageError) as raised:
        table_of(uri, rows.schema).check()
    assert PASSWORD not in str(raised.value)
    return str(raised.value)


# --- Refused before anything is read, in a second, each by one message.


@pytest.mark.parametrize("user", ["shop", "nobody"])
def test_wrong_credentials(store: Store, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setenv("SECRET", "wrong")
    assert f"the server refuses user '{user}': check the user, ?password" in _error(
        store, store.table(), "password=env:SECRET", user
    )


@pytest.mark.parametrize(
    ("columns", "path", "options", "words"),
    [
        ("id bigint, note varchar(20)", "{}s", "", "there is no table"),
        ("idd bigint, note varchar(20)", "{}", "", "has no column 'id'. Did you mean 'idd'?"),
        ("id date, note varchar(20)", "{}", "", "column 'id' is date, which takes no int64"),
        ("id bigint, note varchar(20), more int NOT NULL", "{}", "", "the table needs a value of more"),
        ("id bigint, note varchar(20)", "{}", "mode=upsert", "the table has no primary key"),
        ("id bigint PRIMARY KEY, note varchar(20)", "{}", "mode=upsert&key=note", "?key:"),
        ("id bigint, note varchar(20)", "{}", "mode=upsert&key=idd", "Did you mean 'id'?"),
        ("id bigint, note varchar(20)", "{}", "mode=upsrt", "Did you mean 'upsert'?"),
        ("id bigint, note varchar(20)", "{}", "password=hunter2", "is a secret: say where it is"),
    ],
)
def test_what_does_not_go_together(store: Store, columns: str, path: str, options: str, words: str) -> None:
    found = _error(store, path.format(store.table(columns)), options)
    assert words in found
    assert "hunter2" not in found


def test_a_table_of_10_000_columns(store: Store) -> None:
    wide = pa.table({f"c{number}": [1] for number in range(10_000)})
    most = {"postgresql": "1,600", "mariadb": "1,017"}[store.kind]
    words = f"10,000 columns, and a table{' of InnoDB' if store.kind == 'mariadb' else ''} has at most {most}"
    assert words in _error(store, "wide", "create=true", rows=wide)


@pytest.mark.parametrize("name", ["n" * 65, "a\0b"])
def test_names_that_no_table_can_have(store: Store, name: str) -> None:
    assert "choose another" in _error(store, "named", "create=true", rows=pa.table({name: [1]}))


# --- Dead letters: rows that the table can't take, found before the commit.


def test_values_that_do_not_fit_are_dead_letters(store: Store) -> None:
    table = store.table("id smallint NOT NULL, note varchar(3), price decimal(4,1), day date")
    schema = pa.schema([("id", pa.int64()), ("note", pa.string()), ("price", pa.string()), ("day", pa.string())])
    good = {"id": 1, "note": "äöü", "price": "1.5", "day": "2024-02-29"}
    bad = [{"id": 40_000}, {"id": None}, {"note": SECRET}, {"price": "1234.5"}, {"price": "x"}, {"day": "2023-02-29"}]
    rows = pa.Table.from_pylist([good, *({**good, **each} for each in bad)], schema)
    fits = "table.does_not_fit"
    rules = [fits, "table.required", "table.too_long", fits, fits, fits]
    assert refused(store.server.uri(table), rows) == [*enumerate(rules, 1)]


# --- Refused by the commit: nothing is written, no value is told, and mended the same commit goes through.


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("id bigint PRIMARY KEY, note varchar(20){}, UNIQUE (note)", "a row has a key that another row has already"),
        ("id bigint PRIMARY KEY, note varchar(20), CHECK (id < 2)", "a row breaks a check of the table"),
        (
            "id bigint PRIMARY KEY, note varchar(20), FOREIGN KEY (id) REFERENCES {}parents (id)",
            "a row refers to a row of another table that isn't there",
        ),
    ],
)
def test_what_the_server_refuses_leaves_the_table_as_it_was(
    store: Store, tmp_path: Path, columns: str, words: str, mode: str
) -> None:
    if "parents" in columns:
        store.ask(f"CREATE TABLE IF NOT EXISTS {store.first}parents (id bigint PRIMARY KEY)")
    table = store.table(columns.format(store.first if "parents" in columns else ""))
    uri = store.server.uri(table, f"mode={mode}")
    if mode == "upsert" and "UNIQUE" in columns and store.kind == "mariadb":
        words = "has to be the table's one and only"  # by which of two keys it finds rows nobody can say
    with pytest.raises(UsageError, match=words) as raised:
        commit(uri, tmp_path, ROWS)
    assert SECRET not in str(raised.value)
    assert store.rows(table) == []
    store.ask(f"DROP TABLE {store.first}{table}")
    store.ask(f"CREATE TABLE {store.first}{table} (id bigint PRIMARY KEY, note varchar(20))")
    assert not commit(uri, tmp_path, ROWS).before
    assert store.rows(table) == [(1, SECRET), (2, SECRET)]


# --- It passes by itself: tried again, from the start of the commit.


def test_a_deadlock_with_another_writer(store: Store, tmp_path: Path) -> None:
    table, other = store.table("id bigint PRIMARY KEY, note varchar(20)"), store.table("id bigint")
    commit(store.server.uri(table), tmp_path, ROWS, id="run-0")
    connection = store.connect()
    with contextlib.closing(connection), connection.cursor() as cursor:
        if store.kind == "postgresql":
            # Who has waited so long looks for a deadlock, once: the sink is to, and when there is one.
            cursor.execute("SET deadlock_timeout = '1h'")
            store.ask("CREATE ROLE patient SUPERUSER LOGIN")
            store.ask("ALTER ROLE patient SET deadlock_timeout = '3s'")
        for number in range(50):  # MariaDB ends the one that has done less
            cursor.execute(f"INSERT INTO {other} VALUES ({number})")
        cursor.execute(f"UPDATE {table} SET note = 'other' WHERE id = 2")
        uri = store.server.uri(table, "mode=upsert", "patient" if store.kind == "postgresql" else "root")
        with _at_the_first_retry(lambda: None) as told:
            committing = threading.Thread(target=lambda: commit(uri, tmp_path, ROWS), daemon=True)
            committing.start()
            store.wait(store.waiting)
            cursor.execute(f"UPDATE {table} SET note = 'other' WHERE id = 1")
            connection.commit()
            committing.join(SECONDS)
    assert "deadlock" in told[0].lower()
    assert store.rows(table) == [(1, SECRET), (2, SECRET)]


def test_another_writer_of_the_same_keys(store: Store, tmp_path: Path) -> None:
    table = store.table("id bigint PRIMARY KEY, note varchar(20)")
    commit(store.server.uri(table), tmp_path, ROWS.slice(1), id="run-0")
    connection = store.connect()
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} VALUES (1, 'other')")
        uri = store.server.uri(table, "mode=upsert")
        committing = threading.Thread(target=lambda: commit(uri, tmp_path, ROWS), daemon=True)
        committing.start()
        store.wait(store.waiting)
        connection.commit()
    committing.join(SECONDS)
    assert store.rows(table) == [(1, SECRET), (2, SECRET)]


@contextlib.contextmanager
def _at_the_first_retry(do: Callable[[], object]) -> Iterator[list[str]]:
    """What the retries told; before the first is tried, something is done."""
    told: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())
            if len(told) == 1:
                do()

    log, listening = logging.getLogger("beam_pipelines.retries"), Listening()
    level = log.level
    log.addHandler(listening)
    log.setLevel(logging.INFO)
    try:
        yield told
    finally:
        log.removeHandler(listening)
        log.setLevel(level)


def test_too_many_connections(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", PASSWORD)
    table = store.table()
    if store.kind == "postgresql":
        store.ask("DROP ROLE IF EXISTS single")
        store.ask(f"CREATE ROLE single LOGIN SUPERUSER CONNECTION LIMIT 1 PASSWORD '{PASSWORD}'")
        store.ask("ALTER ROLE single NOSUPERUSER")
        store.ask(f"GRANT ALL ON {table} TO single")
        store.ask("GRANT ALL ON SCHEMA public TO single")
        held: Any = store.server.connect(user="single")  # type: ignore[union-attr]
    else:
        store.ask(f"CREATE USER single IDENTIFIED BY '{PASSWORD}' WITH MAX_USER_CONNECTIONS 1")
        store.ask("GRANT ALL ON test.* TO single")
        held = pymysql.connect(host="127.0.0.1", port=store.server.port, user="single", password=PASSWORD)
    uri = store.server.uri(table, "password=env:SECRET&commits=single_commits", "single")
    if store.kind == "mariadb":
        uri = uri.replace("single_commits", "test.single_commits")
    sink, files = table_of(uri, ROWS.schema), staged(tmp_path, ROWS)
    with _at_the_first_retry(held.close) as told:
        assert not sink.commit("run-1", files, lambda _: None).before
    assert told
    assert store.rows(table) == [(1, SECRET), (2, SECRET)]


@pytest.mark.parametrize("mode", ["append", "upsert", "replace"])
def test_a_connection_that_is_cut_while_rows_are_sent(store: Store, tmp_path: Path, mode: str) -> None:
    table = store.table("id bigint PRIMARY KEY, note varchar(200)")
    rows = pa.table({"id": pa.array(range(20_000), pa.int64()), "note": ["x" * 200] * 20_000})
    (port,) = processes.free_ports(1)
    with toxiproxy.running(tmp_path, port, store.server.port) as proxy:
        uri = store.server.uri(table, f"mode={mode}").replace(f":{store.server.port}/", f":{port}/")
        uri = uri.replace("localhost", "127.0.0.1")
        proxy.cut_after(1_000_000)
        with _at_the_first_retry(proxy.mend) as told:
            assert not commit(uri, tmp_path, rows).before
        assert told, "nothing was cut"
    assert store.ask(f"SELECT count(*), sum(id) FROM {store.first}{table}") == [(20_000, sum(range(20_000)))]


# --- Names and values that look like SQL are names and values.


def test_injections_in_names_and_values(store: Store, tmp_path: Path) -> None:
    victim = store.table()
    text = f"x'); DROP TABLE {victim}; --"
    names = [f'a"; DROP TABLE {victim}; --', f"b`; DROP TABLE {victim}; --", "c' OR '1'='1", "d%s\\", "{0}$1"]
    rows = pa.table({"id": pa.array([1], pa.int64()), **{name: [text] for name in names}})
    quote = '"' if store.kind == "postgresql" else "`"
    for number, name in enumerate(names):
        path = name.replace('"', '""').replace("%", "%25")
        uri = store.server.uri(f'"{path}"', "create=true&mode=upsert&key=id")
        for attempt in range(2):
            commit(uri, tmp_path, rows, id=f"{text}{number}{attempt}")
        quoted = f"{store.first}{quote}{name.replace(quote, quote * 2)}{quote}"
        assert store.ask(f"SELECT * FROM {quoted}") == [(1, *[text] * len(names))]
    assert store.rows(victim) == []
