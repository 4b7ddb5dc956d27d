"""Tables and lookups, with a PostgreSQL that the test process has started."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import apache_beam as beam
import psycopg
import pyarrow as pa

import beam_pipelines as bp
from tests.conformance import kept
from tests.conformance.case import Case, Outputs

DATABASE = "CONFORMANCE_POSTGRESQL"
"""Environment variable of the process that submits: how URIs of the server's tables begin."""

_KNOWN = [(1, "one"), (2, None), (3, "three")]
_ROWS = pa.record_batch({"id": [1, 2, 3, 4], "note": ["a", "too long", None, "d"]})


def _do(statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(os.environ[DATABASE], autocommit=True) as connection:
        done = connection.execute(statement)  # type: ignore[call-overload]
        return list(done) if done.description else []


def _table(columns: str) -> str:
    name = f"t{uuid.uuid4().hex}"
    _do(f"CREATE TABLE {name} ({columns})")
    return name


def _known() -> str:
    table = _table("id bigint PRIMARY KEY, name text")
    _do(f"INSERT INTO {table} VALUES (1, 'one'), (2, NULL), (3, 'three')")
    return f"{os.environ[DATABASE]}/{table}"


def _read(pipeline: beam.Pipeline, _: Path) -> Outputs:
    read = pipeline | "ReadFromTable" >> bp.ReadFromTable(f"{_known()}?parts=2")
    rows = read.good | "ReadFromTable: rows" >> beam.Map(lambda batch: batch.select(["__record"]))
    return {"good": rows, "ledger": read.ledger}


def _read_expected(_: Path) -> dict[str, list[str]]:
    rows = [{"__record": {"id": id, "name": name}} for id, name in _KNOWN]
    counts = [(("", "ReadFromTable", "read", ""), 3)]
    return {"good": kept.texts(rows), "ledger": kept.texts(counts)}


def _write(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    table = _table("id bigint NOT NULL, note varchar(3)")
    (folder / "table").write_text(f"{os.environ[DATABASE]} {table}")
    made = pipeline | "WriteToTable: input" >> beam.Create([_ROWS]).with_output_types(pa.RecordBatch)
    uri = f"{os.environ[DATABASE]}/{table}"
    write = bp.WriteToTable(uri, _ROWS.schema, staging=str(folder / "staging"), commit_id="run-1")
    written = made | "WriteToTable" >> write
    rules = written.dead_letters | "WriteToTable: rules" >> beam.Map(lambda letters: letters.select(["rule"]))
    return {"letters": rules, "ledger": written.ledger}


def _write_found(folder: Path) -> dict[str, list[str]]:
    address, table = (folder / "table").read_text().split()
    with psycopg.connect(address) as connection:
        rows = list(connection.execute(f"SELECT id, note FROM {table}"))  # type: ignore[call-overload]
    kept_ones = {name: kept.read(folder, f"WriteToTable.{name}") for name in ("letters", "ledger")}
    return {"rows": kept.texts(rows), **kept_ones}


def _write_expected(_: Path) -> dict[str, list[str]]:
    return {
        "rows": kept.texts([(1, "a"), (3, None), (4, "d")]),
        "letters": kept.texts([{"rule": "table.too_long"}]),
        "ledger": kept.texts([(("rows", "WriteToTable", "dead_lettered", "table.too_long"), 1)]),
    }


def _enrich(pipeline: beam.Pipeline, _: Path) -> Outputs:
    made = pipeline | "EnrichBatches: input" >> beam.Create([_ROWS]).with_output_types(pa.RecordBatch)
    answers = pa.schema([("id", pa.int64()), ("name", pa.string())])
    enrich = bp.EnrichBatches(_ROWS.schema, f"{_known()}?ttl=60", answers, "id", how="required")
    enriched = made | "EnrichBatches" >> enrich
    rules = enriched.dead_letters | "EnrichBatches: rules" >> beam.Map(lambda letters: letters.select(["rule"]))
    good = enriched.good | "EnrichBatches: names" >> beam.Map(lambda batch: batch.select(["id", "name"]))
    return {"good": good, "letters": rules}


def _enrich_expected(_: Path) -> dict[str, list[str]]:
    rows = [{"id": id, "name": name} for id, name in _KNOWN]
    return {"good": kept.texts(rows), "letters": kept.texts([{"rule": "join.unmatched"}])}


CASES = (
    Case("EnrichBatches", ("EnrichBatches",), _enrich, _enrich_expected, needs="servers"),
    Case("ReadFromTable", ("ReadFromTable",), _read, _read_expected, needs="servers"),
    Case("WriteToTable", ("WriteToTable",), _write, _write_expected, _write_found, needs="servers"),
)
