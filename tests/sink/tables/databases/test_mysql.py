"""MariaDB as a sink: what gets into a table, how rows find theirs, and what it refuses."""

from __future__ import annotations

import datetime
import decimal
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Committed
from scripts.kafka import PASSWORD
from tests.servers.mariadb import MariaDB
from tests.sink.tables.staging import commit, refused, staged

NOON = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
COLUMNS = "id bigint PRIMARY KEY, note varchar(20)"
SECONDS = 60


def _rows(*ids: int, note: str = "ok") -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "note": pa.array([note] * len(ids), pa.string())})


def test_a_commit_of_one_id_counts_once(mariadb: MariaDB, tmp_path: Path) -> None:
    table = mariadb.table(COLUMNS)
    uri = mariadb.uri(table)
    assert not commit(uri, tmp_path, _rows(1, 2), _rows(3)).before
    assert commit(uri, tmp_path, _rows(1, 2), _rows(3)).before
    commit(uri.replace("mariadb:", "mysql:"), tmp_path, _rows(4), id="run-2")
    assert mariadb.ask(f"SELECT id FROM test.{table} ORDER BY id") == [(1,), (2,), (3,), (4,)]


def test_an_older_pane_never_takes_a_newer_ones_place(mariadb: MariaDB, tmp_path: Path) -> None:
    rows = [("b", 5, 50, 1), ("c", None, 0, 1)]
    table = mariadb.table("name varchar(9) PRIMARY KEY, version int, n int, more int DEFAULT 7", rows)
    uri = mariadb.uri(table, "mode=upsert&key=name&version=version")
    panes = pa.table({"name": ["a", "a", "b", "c"], "version": [2, 1, 4, 1], "n": [20, 10, 40, 1]})
    commit(uri, tmp_path, panes)
    found = f"SELECT * FROM test.{table} ORDER BY name"
    assert mariadb.ask(found) == [("a", 2, 20, 7), ("b", 5, 50, 1), ("c", 1, 1, 1)]
    commit(uri, tmp_path, pa.table({"name": ["a", "b"], "version": [3, 5], "n": [30, 55]}), id="run-2")
    assert mariadb.ask(found) == [("a", 3, 30, 7), ("b", 5, 55, 1), ("c", 1, 1, 1)]
    with pytest.raises(UsageError, match="1 times two rows have the same name and the same version"):
        commit(uri, tmp_path, pa.table({"name": ["z", "z"], "version": [1, 1], "n": [1, 2]}), id="run-3")


def test_replacing_leaves_the_rows_of_the_last_commit_alone(mariadb: MariaDB, tmp_path: Path) -> None:
    table = mariadb.table(COLUMNS, [(9, "old")])
    uri = mariadb.uri(table, "mode=replace")
    commit(uri, tmp_path, _rows(1, 2))
    commit(uri, tmp_path, _rows(3), id="run-2")
    assert mariadb.ask(f"SELECT id FROM test.{table}") == [(3,)]
    commit(uri, tmp_path, _rows(), id="run-3")
    assert mariadb.ask(f"SELECT id FROM test.{table}") == []


def test_values_of_every_type_are_what_they_were(mariadb: MariaDB, tmp_path: Path) -> None:
    columns = (
        "a tinyint, b int unsigned, c decimal(12,2), d double, e varchar(20), f varbinary(9), g date, h datetime(6), "
        "i timestamp(6) NULL, j enum('sad', 'it''s ok'), k json"
    )
    table = mariadb.table(columns)
    row = {
        "a": -1,
        "b": 2**32 - 1,
        "c": decimal.Decimal("1.50"),
        "d": 0.1,
        "e": "ä'\"\\%s\0",
        "f": b"\x00\xff'",
        "g": NOON.date(),
        "h": NOON.replace(tzinfo=None, microsecond=1),
        "i": NOON.replace(microsecond=2),
        "j": "it's ok",
        "k": {"x": [1]},
    }
    kinds = [pa.int64(), pa.int64(), pa.decimal128(20, 2), pa.float64(), pa.string(), pa.binary(), pa.date32()]
    kinds += [pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.string(), pa.struct([("x", pa.list_(pa.int64()))])]
    rows = pa.Table.from_pylist([row, {}], pa.schema(list(zip(row, kinds, strict=True))))
    assert refused(mariadb.uri(table), rows) == []
    commit(mariadb.uri(table), tmp_path, rows)
    found, empty = mariadb.ask(f"SELECT * FROM test.{table} ORDER BY a IS NULL")
    assert found == (*list(row.values())[:8], NOON.replace(tzinfo=None, microsecond=2), "it's ok", '{"x":[1]}')
    assert set(empty) == {None}


def test_a_table_is_made_of_the_schema(mariadb: MariaDB, tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            ("small", pa.int8()),
            ("whole", pa.uint64()),
            ("real", pa.float64()),
            ("money", pa.decimal128(20, 2)),
            ("yes", pa.bool_()),
            ("raw", pa.binary()),
            ("day", pa.date32()),
            ("at", pa.timestamp("us", "UTC")),
            ("tags", pa.list_(pa.string())),
            ("word", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    row = {
        "key": "K\\'",
        "small": -1,
        "whole": 2**64 - 1,
        "real": 0.1,
        "money": decimal.Decimal("1.50"),
        "yes": True,
        "raw": b"\x00\xff'\\",
        "day": NOON.date(),
        "at": NOON.replace(year=2052),
        "tags": ["x", 'y"'],
        "word": "w",
    }
    uri = mariadb.uri("made", "create=true&mode=upsert&key=key")
    others = [{"key": "k\\'"}, {"key": "k" * 191}, {"key": "n", "real": float("nan")}]
    rows = pa.Table.from_pylist([row, *others], schema)
    refusals = [(2, "table.too_long"), (3, "table.does_not_fit")]
    assert refused(uri, rows) == refusals
    for number in range(2):
        commit(uri, tmp_path, rows[:2], id=f"run-{number}")
        assert refused(uri, rows) == refusals
    found, empty = mariadb.ask("SELECT * FROM test.made")
    expected = {**row, "at": NOON.replace(year=2052, tzinfo=None), "yes": 1, "tags": '["x","y\\""]'}
    assert dict(zip(schema.names, found, strict=True)) == expected
    assert empty == ("k\\'", *[None] * 10)


def test_rows_of_many_statements_are_one_commit(mariadb: MariaDB, tmp_path: Path) -> None:
    rows = pa.table({"id": pa.array(range(5_000), pa.int64()), "note": ["x" * 1_000] * 5_000})
    commit(mariadb.uri("wide_rows", "create=true"), tmp_path, rows)
    assert mariadb.ask("SELECT count(*), sum(id), sum(length(note)) FROM test.wide_rows") == [
        (5_000, sum(range(5_000)), 5_000_000)
    ]


def test_rows_that_a_column_cannot_take_are_told_one_by_one(mariadb: MariaDB) -> None:
    table = mariadb.table("a tinyint unsigned, b varchar(3), c decimal(4,1), d int NOT NULL, e datetime, f enum('x')")
    good = {"a": 1, "b": "äöü", "c": "12.5", "d": 1, "e": NOON.replace(tzinfo=None), "f": "x"}
    bad = [{"a": -1}, {"b": "äöüß"}, {"c": "1234.5"}, {"d": None}, {"e": good["e"].replace(microsecond=1)}, {"f": "y"}]  # type: ignore[attr-defined]
    kinds = [pa.int64(), pa.string(), pa.string(), pa.int64(), pa.timestamp("us"), pa.string()]
    rows = pa.Table.from_pylist(
        [good, *({**good, **each} for each in bad)], pa.schema(list(zip(good, kinds, strict=True)))
    )
    fits, long, missing = "table.does_not_fit", "table.too_long", "table.required"
    assert refused(mariadb.uri(table), rows) == [*enumerate([fits, long, fits, missing, fits, fits], 1)]


NAMES = [
    "say `hi`",
    "a'; DROP TABLE safe; --",
    "select",
    "Ünïcode",
    "%s",
    "100%",
    "a.b",
    "{0}",
    'dou"ble',
    "back\\slash",
]


def test_names_that_need_quotes_are_names_and_nothing_else(mariadb: MariaDB, tmp_path: Path) -> None:
    safe = mariadb.table("id int", name="safe")
    columns = ", ".join("`" + name.replace("`", "``") + "` text" for name in NAMES)
    rows = pa.table({"id": [1], **{each: [f"{each}'`); DROP TABLE safe; --"] for each in NAMES}})
    for name in NAMES:
        table = mariadb.table(f"id int PRIMARY KEY, {columns}", name=name)
        in_path = table.replace('"', '""').replace("%", "%25")
        commit(mariadb.uri(f'"{in_path}"', "mode=upsert"), tmp_path, rows, id=f"{name}'")
        in_sql = table.replace("`", "``")
        assert mariadb.ask(f"SELECT * FROM test.`{in_sql}`") == [(1, *(rows[each][0].as_py() for each in NAMES))]
    assert mariadb.ask(f"SELECT count(*) FROM test.{safe}") == [(0,)]


def test_what_is_wrong_is_told_without_values(
    mariadb: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = mariadb.table("id bigint, note varchar(20), UNIQUE KEY by_note (note)")
    schema = _rows().schema

    def error(uri: str) -> str:
        with pytest.raises(UsageError) as raised:
            table_of(uri, schema).check()
        return str(raised.value)

    monkeypatch.setenv("SECRET", "wrong")
    assert "the server refuses user 'shop'" in error(mariadb.uri(table, "password=env:SECRET", "shop"))
    assert "there is no table 'nowhere' in 'test'" in error(mariadb.uri("nowhere"))
    assert "names no table: write mariadb://USER@HOST:PORT/DATABASE/TABLE" in error("mariadb://root@localhost/x")
    assert "has to be the table's one and only" in error(mariadb.uri(table, "mode=upsert&key=id"))
    with pytest.raises(
        UsageError, match=r"a row has a key that another row has already \('by_note'\) \[1062\]"
    ) as raised:
        commit(mariadb.uri(table), tmp_path, _rows(1, 2, note="secret"))
    assert "secret" not in str(raised.value)
    assert mariadb.ask(f"SELECT count(*) FROM test.{table}") == [(0,)]
    monkeypatch.setenv("SECRET", PASSWORD)
    with pytest.raises(UsageError, match="user 'shop' may not do that"):
        commit(mariadb.uri(table, "password=env:SECRET&commits=test.other", "shop"), tmp_path, _rows(1))


@pytest.mark.parametrize("mode", ["append", "upsert", "replace"])
def test_of_two_attempts_at_once_one_writes(mariadb: MariaDB, tmp_path: Path, mode: str) -> None:
    table = mariadb.table(COLUMNS)
    sink = table_of(mariadb.uri(table, f"mode={mode}"), _rows().schema)
    commit(mariadb.uri(table), tmp_path, _rows(9), id="run-0")  # makes the table of commits
    files = staged(tmp_path, _rows(1, 2))
    results: list[Committed] = []
    thread = threading.Thread(target=lambda: results.append(sink.commit("run-1", files, no_step)), daemon=True)

    def overtake(step: str) -> None:
        if step == "loaded":
            thread.start()
            until = time.monotonic() + SECONDS
            while not mariadb.ask("SELECT 1 FROM information_schema.innodb_lock_waits"):
                assert time.monotonic() < until
                time.sleep(0.05)

    first = sink.commit("run-1", files, overtake)
    thread.join(SECONDS)
    assert (first.before, [each.before for each in results]) == (False, [True])
    kept = 2 if mode == "replace" else 3
    assert mariadb.ask(f"SELECT count(*) FROM test.{table}") == [(kept,)]


def test_a_session_that_the_server_ends_is_begun_again(mariadb: MariaDB, tmp_path: Path) -> None:
    table = mariadb.table(COLUMNS)
    ended = []

    def end(step: str) -> None:
        if step == "loaded" and not ended:
            ended.append(step)
            (found,) = mariadb.ask("SELECT trx_mysql_thread_id FROM information_schema.innodb_trx")
            mariadb.ask(f"KILL {found[0]}")

    assert not commit(mariadb.uri(table), tmp_path, _rows(1, 2), at_step=end).before
    assert ended
    assert mariadb.ask(f"SELECT count(*) FROM test.{table}") == [(2,)]
