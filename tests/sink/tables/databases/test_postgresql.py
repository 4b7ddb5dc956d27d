"""PostgreSQL as a sink: what gets into a table, how rows find theirs, and types both sides agree on."""

from __future__ import annotations

import datetime
import decimal
import pickle
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines import WriteToTable
from beam_pipelines.errors import UsageError
from beam_pipelines.sink.tables.known import table_of
from tests.servers.postgresql import PostgreSQL
from tests.sink.tables.staging import commit, refused, staged

NOON = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)


def _rows(*ids: int, note: str = "ok") -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "note": pa.array([note] * len(ids), pa.string())})


def _panes(*panes: tuple[str, int, int]) -> pa.Table:
    names, versions, counts = zip(*panes, strict=True)
    return pa.table({"name": names, "version": versions, "n": counts})


def test_a_commit_of_one_id_counts_once(postgresql: PostgreSQL, tmp_path: Path) -> None:
    table = postgresql.table("id bigint, note text")
    uri = postgresql.uri(table)
    first = commit(uri, tmp_path, _rows(1, 2), _rows(3))
    assert (first.rows, first.before) == (3, False)
    again = commit(uri, tmp_path, _rows(1, 2), _rows(3))
    assert (again.rows, again.before) == (3, True)
    commit(uri, tmp_path, _rows(4), id="run-2")
    assert postgresql.ask(f"SELECT id FROM {table} ORDER BY id") == [(1,), (2,), (3,), (4,)]


def test_one_id_may_be_that_of_commits_to_two_tables(postgresql: PostgreSQL, tmp_path: Path) -> None:
    tables = [postgresql.table("id bigint, note text") for _ in range(2)]
    for table in tables:
        assert not commit(postgresql.uri(table), tmp_path, _rows(1)).before
        assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(1,)]


def test_an_upsert_replaces_rows_of_its_keys_and_adds_the_others(postgresql: PostgreSQL, tmp_path: Path) -> None:
    table = postgresql.table("id bigint PRIMARY KEY, note text, seen int DEFAULT 7", [(1, "old", 1), (2, "old", 2)])
    commit(postgresql.uri(table, "mode=upsert"), tmp_path, _rows(2, 3, note="new"))
    found = postgresql.ask(f"SELECT * FROM {table} ORDER BY id")
    assert found == [(1, "old", 1), (2, "new", 2), (3, "new", 7)]  # a column that isn't written stays


def test_an_older_pane_never_takes_a_newer_ones_place(postgresql: PostgreSQL, tmp_path: Path) -> None:
    table = postgresql.table("name text UNIQUE, version int, n int", [("b", 5, 50), ("c", None, 0)])
    uri = postgresql.uri(table, "mode=upsert&key=name&version=version")
    told = commit(uri, tmp_path, _panes(("a", 2, 20), ("a", 1, 10), ("b", 4, 40), ("c", 1, 1)))
    assert postgresql.ask(f"SELECT * FROM {table} ORDER BY name") == [("a", 2, 20), ("b", 5, 50), ("c", 1, 1)]
    assert told.told["older"] == 2
    commit(uri, tmp_path, _panes(("a", 3, 30), ("b", 5, 55)), id="run-2")
    assert postgresql.ask(f"SELECT * FROM {table} ORDER BY name") == [("a", 3, 30), ("b", 5, 55), ("c", 1, 1)]


@pytest.mark.parametrize("options", ["mode=upsert", "mode=upsert&version=version"])
def test_rows_of_one_key_that_are_equally_new_are_refused(postgresql: PostgreSQL, tmp_path: Path, options: str) -> None:
    table = postgresql.table("name text PRIMARY KEY, version int, n int")
    with pytest.raises(UsageError, match=r"1 times two rows have the same name.*Nothing was written"):
        commit(postgresql.uri(table, options), tmp_path, _panes(("a", 1, 1), ("a", 1, 2)))
    assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(0,)]


def test_replacing_leaves_the_rows_of_the_last_commit_alone(postgresql: PostgreSQL, tmp_path: Path) -> None:
    table = postgresql.table("id bigint, note text", [(9, "old")])
    uri = postgresql.uri(table, "mode=replace")
    commit(uri, tmp_path, _rows(1, 2))
    commit(uri, tmp_path, _rows(3), id="run-2")
    assert postgresql.ask(f"SELECT id FROM {table}") == [(3,)]
    commit(uri, tmp_path, _rows(), id="run-3")
    assert postgresql.ask(f"SELECT id FROM {table}") == []


def test_a_table_is_made_of_the_schema(postgresql: PostgreSQL, tmp_path: Path) -> None:
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
            ("local", pa.timestamp("us")),
            ("time", pa.time32("s")),
            ("tags", pa.list_(pa.string())),
            ("deep", pa.struct([("a", pa.int64()), ("b", pa.string())])),
            ("word", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    row = {
        "key": "k",
        "small": -1,
        "whole": 2**64 - 1,
        "real": 0.1,
        "money": decimal.Decimal("1.50"),
        "yes": True,
        "raw": b"\x00\xff",
        "day": NOON.date(),
        "at": NOON,
        "local": NOON.replace(tzinfo=None),
        "time": datetime.time(1, 2, 3),
        "tags": ["x", 'y"'],
        "deep": {"a": 1, "b": None},
        "word": "w",
    }
    rows = pa.Table.from_pylist([row, {"key": "empty"}], schema)
    uri = postgresql.uri("made", "create=true&mode=upsert&key=key")
    assert refused(uri, rows) == []
    commit(uri, tmp_path, rows)
    found, empty = postgresql.ask("SELECT * FROM made ORDER BY key DESC")
    assert dict(zip(schema.names, found, strict=True)) == row
    assert set(empty[1:]) == {None}
    types = postgresql.ask(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'made' ORDER BY 1"
    )
    assert [kind for _, kind in types] == [
        *("timestamp with time zone", "date", "jsonb", "text", "timestamp without time zone", "numeric", "bytea"),
        *("double precision", "smallint", "jsonb", "time without time zone", "numeric", "text", "boolean"),
    ]


def test_what_arrow_has_no_type_for_is_cast_by_the_server(postgresql: PostgreSQL, tmp_path: Path) -> None:
    postgresql.do(
        "CREATE TYPE mood AS ENUM ('sad', 'it''s ok')", "CREATE DOMAIN plz AS char(5) CHECK (VALUE ~ '^\\d+$')"
    )
    table = postgresql.table("id uuid, doc jsonb, mood mood, plz plz, net inet, n numeric, tags text[], span interval")
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("id", "mood", "plz", "net")),
            ("doc", pa.struct([("a", pa.int64())])),
            ("n", pa.float64()),
            ("tags", pa.list_(pa.string())),
            ("span", pa.string()),
        ]
    )
    key = "0d59a0b4-cd69-4ac1-9b0e-4f4a8d1f2a3b"
    row = {"id": key, "mood": "it's ok", "plz": "01234", "net": "10.0.0.0/8", "doc": {"a": 1}, "n": 1.5, "tags": ["x"]}
    commit(postgresql.uri(table), tmp_path, pa.Table.from_pylist([{**row, "span": "1 day"}, {}], schema))
    found = postgresql.ask(f"SELECT id::text, mood, plz, net::text, doc, n::float8, tags, span FROM {table}")
    assert found == [(*row.values(), datetime.timedelta(days=1)), (None,) * 8]


def test_rows_that_a_column_cannot_take_are_told_one_by_one(postgresql: PostgreSQL) -> None:
    columns = "a smallint, b varchar(3), c numeric(4,1), d text NOT NULL, e uuid, f mood2, g jsonb, h date, i int"
    postgresql.do("CREATE TYPE mood2 AS ENUM ('sad', 'ok')")
    table = postgresql.table(columns)
    good = {"a": 1, "b": "äöü", "c": "12.5", "d": "x", "e": "0d59a0b4-cd69-4ac1-9b0e-4f4a8d1f2a3b", "f": "ok"}
    good |= {"g": '{"a": [1]}', "h": NOON.replace(hour=0), "i": "7"}
    bad = [
        {"a": 40_000},
        {"b": "äöüß"},
        {"c": "1234.5"},
        {"d": None},
        {"e": "0d59a0b4"},
        {"f": "OK"},
        {"g": "{"},
        {"g": '{"a": "\\u0000"}'},
        {"h": NOON},
        {"i": "seven"},
        {"d": "a\0b"},
        {"a": -40_000, "d": None},
    ]
    schema = pa.schema(
        [
            (name, pa.int64() if name == "a" else pa.timestamp("us", "UTC") if name == "h" else pa.string())
            for name in good
        ]
    )
    rows = pa.Table.from_pylist([good, *({**good, **each} for each in bad)], schema)
    fits, long, missing = "table.does_not_fit", "table.too_long", "table.required"
    rules = [fits, long, fits, missing, *[fits] * 7]
    assert refused(postgresql.uri(table), rows) == [*enumerate(rules, 1), (12, fits), (12, missing)]


def test_a_nul_is_found_in_a_batch_that_is_part_of_a_larger_one() -> None:
    from beam_pipelines.sink.tables.fit import misfits
    from beam_pipelines.sink.tables.table import Column

    batch = pa.record_batch({"a": ["x\0", "y", "z\0"]})
    found = misfits(batch.slice(1, 2), [Column("a", pa.string(), nul=False)])
    assert found is not None
    assert found.is_valid().to_pylist() == [False, True]
    assert misfits(batch.slice(1, 1), [Column("a", pa.string(), nul=False)]) is None


NAMES = [
    'say "hi"',
    "a'; DROP TABLE safe; --",
    "select",
    "Ünïcode",
    "with space",
    "%s",
    "$1",
    "a.b",
    "{0}",
    "back\\slash",
]


def test_names_that_need_quotes_are_names_and_nothing_else(postgresql: PostgreSQL, tmp_path: Path) -> None:
    safe = postgresql.table("id int", name="safe")
    for mode in ("append", "upsert&key=key"):
        columns = ", ".join('"' + name.replace('"', '""') + '" text' for name in NAMES)
        for name in NAMES:
            table = postgresql.table(f"key int PRIMARY KEY, {columns}", name=f"{name}{mode[:3]}").replace('"', '""')
            rows = pa.table({"key": [1], **{each: [f"{each}'\"); DROP TABLE safe; --"] for each in NAMES}})
            escaped = table.replace("%", "%25")
            commit(postgresql.uri(f'public."{escaped}"', f"mode={mode}"), tmp_path, rows, id=f"{name}'")
            assert postgresql.ask(f'SELECT * FROM "{table}"') == [(1, *(rows[each][0].as_py() for each in NAMES))]
    assert postgresql.ask(f"SELECT count(*) FROM {safe}") == [(0,)]


def test_a_pipeline_writes_rows_and_hands_on_those_that_do_not_fit(postgresql: PostgreSQL, tmp_path: Path) -> None:
    table = postgresql.table("id bigint NOT NULL, note varchar(2)")
    schema = _rows().schema
    with beam.Pipeline("FnApiRunner") as pipeline:
        batches = [batch for rows in (_rows(1, 2), _rows(3, note="long")) for batch in rows.to_batches()]
        written = (
            pipeline
            | beam.Create(batches)
            | WriteToTable(postgresql.uri(table), schema, staging=str(tmp_path / "staging"), commit_id="run-1")
        )
        letters = written.dead_letters | beam.FlatMap(
            lambda batch: [(row["rule"], row["payload"]) for row in batch.to_pylist()]
        )
        assert_that(letters, equal_to([("table.too_long", b'{"id":3,"note":"long"}')]))
    assert postgresql.ask(f"SELECT * FROM {table} ORDER BY id") == [(1, "ok"), (2, "ok")]
    assert not list((tmp_path / "staging").rglob("*.parquet"))


def test_a_table_travels_and_is_compared_by_value(postgresql: PostgreSQL) -> None:
    uri = postgresql.uri("any", "password=env:SECRET")
    table = table_of(uri, _rows().schema)
    assert pickle.loads(pickle.dumps(table)) == table == table_of(uri, _rows().schema)
    assert hash(table) == hash(table_of(uri, _rows().schema))
    assert table.name == postgresql.uri("any")


def test_staged_files_that_are_gone_are_an_error_of_files(postgresql: PostgreSQL, tmp_path: Path) -> None:
    table = postgresql.table("id bigint, note text")
    files = staged(tmp_path, _rows(1))
    Path(files[0].path).unlink()
    with pytest.raises(FileNotFoundError):
        table_of(postgresql.uri(table), _rows().schema).commit("run-1", files, lambda _: None)
    assert postgresql.ask(f"SELECT count(*) FROM {table}") == [(0,)]
