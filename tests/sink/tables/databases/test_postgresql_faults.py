"""PostgreSQL as a sink when something is wrong: a clear error without anybody's values, or it passes by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Committed
from scripts import processes, toxiproxy
from scripts.kafka import PASSWORD
from tests.servers.postgresql import PostgreSQL
from tests.sink.tables.staging import commit, staged

ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "note": ["secret-a", "secret-b"]})
COLUMNS = "id bigint, note text"
SECONDS = 60


def _error(postgresql: PostgreSQL, path: str, options: str = "", user: str = "postgres", rows: pa.Table = ROWS) -> str:
    with pytest.raises(UsageError) as raised:
        table_of(postgresql.uri(path, options, user), rows.schema).check()
    assert PASSWORD not in str(raised.value)
    return str(raised.value)


def test_wrong_credentials_are_told_at_once(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "not it")
    start = time.monotonic()
    assert "the server refuses user 'shop': check the user, ?password" in _error(
        postgresql, "t", "password=env:SECRET", "shop"
    )
    assert "refuses user 'shop'" in _error(postgresql, "t", "", "shop")
    assert "the server refuses user 'nobody'" in _error(postgresql, "t", "", "nobody")
    assert "environment variable NONE is not set" in _error(postgresql, "t", "password=env:NONE")
    assert time.monotonic() - start < SECONDS  # none of them is tried again


def test_libpqs_own_files_say_what_a_uri_does_not(
    postgresql: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = postgresql.table(COLUMNS)
    postgresql.do("GRANT ALL ON ALL TABLES IN SCHEMA public TO shop", "GRANT ALL ON SCHEMA public TO shop")
    passwords, services = tmp_path / "pass", tmp_path / "services"
    passwords.write_text(f"localhost:{postgresql.port}:*:shop:{PASSWORD}\n")
    passwords.chmod(0o600)
    services.write_text(f"[here]\nhost=localhost\nport={postgresql.port}\nuser=shop\ndbname=postgres\n")
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    table_of(f"postgresql:///public.{table}?service=here", ROWS.schema).check()
    with pytest.raises(UsageError, match='definition of service "her" not found'):
        table_of(f"postgresql:///public.{table}?service=her", ROWS.schema).check()


def test_the_servers_certificate_is_checked_if_asked_for(postgresql: PostgreSQL) -> None:
    table = postgresql.table(COLUMNS)
    trusted = f"sslmode=verify-full&sslrootcert={postgresql.certificate}"
    table_of(postgresql.uri(table, trusted), ROWS.schema).check()
    assert "can't be asked" in _error(postgresql, table, "sslmode=verify-full&sslrootcert=/etc/hostname")


def test_what_is_not_there_is_named_with_what_is_near(postgresql: PostgreSQL) -> None:
    table = postgresql.table("idd bigint, note text", name="near_orders")
    sink = table_of(postgresql.uri("t").replace("/postgres/", "/shp/"), ROWS.schema)
    with pytest.raises(UsageError, match="there is no such database"):
        sink.check()
    assert "there is no table near_ordres" in _error(postgresql, "near_ordres")
    assert "Did you mean 'near_orders'? Say ?create=true" in _error(postgresql, "near_ordres")
    assert f"public.{table} has no column 'id'. Did you mean 'idd'?" in _error(postgresql, table)
    assert "'postgres/a.b.c' names no table: write DATABASE/SCHEMA.TABLE" in _error(postgresql, "a.b.c")
    assert "?modus is not an option of postgresql://" in _error(postgresql, table, "modus=upsert")


def test_types_keys_and_options_that_do_not_go_together_are_refused(postgresql: PostgreSQL) -> None:
    table = postgresql.table("id bigint, note timestamptz[], made bigint GENERATED ALWAYS AS (id * 2) STORED")
    assert "column 'note' is timestamp with time zone[], which takes no string" in _error(postgresql, table)
    made = pa.table({"made": [1]})
    assert "the server makes column 'made' itself" in _error(postgresql, table, rows=made)
    plain = postgresql.table("id bigint, note text, more int NOT NULL, also int NOT NULL DEFAULT 1")
    assert "the table needs a value of more, and" in _error(postgresql, plain)
    keyless = postgresql.table(COLUMNS)
    assert "the table has no primary key" in _error(postgresql, keyless, "mode=upsert")
    assert "has no unique index on id, by which" in _error(postgresql, keyless, "mode=upsert&key=id")
    assert "?key: the rows have no column 'idd'. Did you mean 'id'?" in _error(
        postgresql, keyless, "mode=upsert&key=idd"
    )
    assert "?version is for nothing without ?mode=upsert" in _error(postgresql, keyless, "version=id")
    assert "?version: 'id' is part of the key" in _error(postgresql, keyless, "mode=upsert&key=id&version=id")


def test_more_columns_and_longer_names_than_a_table_can_have_are_refused(postgresql: PostgreSQL) -> None:
    wide = pa.table({f"c{number}": [1] for number in range(10_000)})
    assert "10,000 columns, and a table has at most 1,600" in _error(postgresql, "wide", "create=true", rows=wide)
    long = pa.table({"ä" * 32: [1]})
    assert "is longer than the 63 bytes" in _error(postgresql, "long", "create=true", rows=long)


def test_a_table_of_as_many_columns_as_there_can_be_is_written(postgresql: PostgreSQL, tmp_path: Path) -> None:
    wide = pa.table({f"c{number}": pa.array([1, None], pa.int16()) for number in range(1_600)})
    commit(postgresql.uri("widest", "create=true"), tmp_path, wide)
    assert postgresql.ask("SELECT count(*), count(c0), count(c1599) FROM widest") == [(2, 1, 1)]


def test_rights_that_are_missing_are_told_before_anything_runs(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", PASSWORD)
    postgresql.do("CREATE SCHEMA closed", f"CREATE TABLE closed.t ({COLUMNS})")
    asked = ("closed.t", "password=env:SECRET", "shop")
    assert "user 'shop' may not do that: permission denied for schema closed" in _error(postgresql, *asked)
    postgresql.do("GRANT USAGE ON SCHEMA closed TO shop")
    assert "user 'shop' has no right to INSERT in table" in _error(postgresql, *asked)
    postgresql.do("GRANT INSERT ON closed.t TO shop")
    assert "user 'shop' has no right to CREATE in schema closed: GRANT it, or name another table by ?commits" in _error(
        postgresql, *asked
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("id bigint, note text UNIQUE DEFAULT 'x'", "a row has a key that another row has already.*_note_key"),
        ("id bigint CHECK (id < 2), note text", "a row breaks a check of the table.*_id_check"),
        ("id bigint REFERENCES parents, note text", "a row refers to a row of another table that isn't there.*fkey"),
    ],
)
def test_what_the_table_refuses_leaves_it_as_it_was_and_tells_no_values(
    postgresql: PostgreSQL, tmp_path: Path, columns: str, words: str
) -> None:
    postgresql.do("CREATE TABLE IF NOT EXISTS parents (id bigint PRIMARY KEY)")
    table = postgresql.table(columns)
    rows = pa.concat_tables([ROWS, ROWS])
    with pytest.raises(UsageError, match=words) as raised:
        commit(postgresql.uri(table), tmp_path, rows)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(0,)]
    # The same id, mended.
    postgresql.do(f"DROP TABLE {table}", f"CREATE TABLE {table} ({COLUMNS})")
    assert not commit(postgresql.uri(table), tmp_path, rows).before
    assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(4,)]


@pytest.fixture
def proxied(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[tuple[toxiproxy.Proxy, str]]:
    """A proxy before the server, and how URIs begin that go through it."""
    (port,) = processes.free_ports(1)
    with toxiproxy.running(tmp_path, port, postgresql.port) as proxy:
        yield proxy, postgresql.uri("").replace(f":{postgresql.port}/", f":{port}/").replace("localhost", "127.0.0.1")


@pytest.mark.parametrize("when", ["loaded", "stored"])
def test_a_connection_that_is_cut_around_the_commit_loses_and_doubles_nothing(
    postgresql: PostgreSQL, proxied: tuple[toxiproxy.Proxy, str], tmp_path: Path, when: str
) -> None:
    proxy, start = proxied
    table = postgresql.table(COLUMNS)
    cuts = []

    def cut(step: str) -> None:
        if step == when and not cuts:
            cuts.append(step)
            proxy.cut()
            proxy.mend()
            if when == "stored":
                raise ConnectionResetError("the answer to COMMIT never came")

    sink = table_of(f"{start}{table}", ROWS.schema)
    files = staged(tmp_path, ROWS)
    if when == "stored":
        with pytest.raises(ConnectionResetError):
            sink.commit("run-1", files, cut)
        assert sink.commit("run-1", files, cut).before
    else:
        assert not sink.commit("run-1", files, cut).before
    assert cuts == [when]
    assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(2,)]


def test_a_session_that_the_server_ends_is_begun_again(postgresql: PostgreSQL, tmp_path: Path) -> None:
    table = postgresql.table(COLUMNS)
    ended = []

    def end(step: str) -> None:
        if step == "loaded" and not ended:
            ended.append(step)
            postgresql.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'beam_pipelines'"
            )

    assert not commit(postgresql.uri(table), tmp_path, ROWS, at_step=end).before
    assert ended
    assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(2,)]


@pytest.mark.parametrize("mode", ["append", "upsert", "replace"])
def test_of_two_attempts_at_once_one_writes(postgresql: PostgreSQL, tmp_path: Path, mode: str) -> None:
    table = postgresql.table("id bigint PRIMARY KEY, note text")
    sink = table_of(postgresql.uri(table, f"mode={mode}"), ROWS.schema)
    files = staged(tmp_path, ROWS)
    results: list[Committed] = []

    def second() -> None:
        results.append(sink.commit("run-1", files, no_step))

    thread = threading.Thread(target=second, daemon=True)

    def overtake(step: str) -> None:
        if step == "loaded":
            thread.start()
            _wait(lambda: bool(postgresql.ask("SELECT 1 FROM pg_locks WHERE NOT granted")))

    first = sink.commit("run-1", files, overtake)
    thread.join(SECONDS)
    assert (first.before, [each.before for each in results]) == (False, [True])
    assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(2,)]


def test_a_full_disk_is_told_and_nothing_is_there(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """A limit of temporary files stands for it: the server tells both with class 53."""
    table = postgresql.table(COLUMNS)
    postgresql.do("CREATE ROLE tight SUPERUSER LOGIN", "ALTER ROLE tight SET temp_file_limit = '64kB'")
    rows = pa.table({"id": pa.array(range(50_000), pa.int64()), "note": ["x" * 20] * 50_000})
    postgresql.do(f"CREATE UNIQUE INDEX ON {table} (id)", "ALTER ROLE tight SET work_mem = '64kB'")
    uri = postgresql.uri(table, "mode=upsert&key=id", "tight")
    with pytest.raises(UsageError, match=r"temporary file size exceeds temp_file_limit .* \[SQLSTATE 53400\]"):
        commit(uri, tmp_path, rows)
    assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(0,)]


def _wait(is_so: object) -> None:
    until = time.monotonic() + SECONDS
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < until, "it didn't come to that"
        time.sleep(0.02)
