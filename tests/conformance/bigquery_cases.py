"""Tables of BigQuery, in the emulator that the test process has started."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import apache_beam as beam
import pyarrow as pa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

import beam_pipelines as bp
from tests.conformance import kept
from tests.conformance.case import Case, Outputs

ENDPOINTS = "CONFORMANCE_BIGQUERY"
"""Environment variable of the process that submits: the options of URIs that say where it is."""

_DATASET = "shop.sales"
_KNOWN = [(1, "one"), (2, None), (3, "three")]
_ROWS = pa.record_batch({"id": pa.array([1, None, 2, 3], pa.int64()), "note": ["a", "b", None, "d"]})
_METHODS = ("load", "storage_write")


def _client(endpoints: str = "") -> bigquery.Client:
    (url,) = parse_qs(endpoints or os.environ[ENDPOINTS])["endpoint"]
    return bigquery.Client("shop", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})


def _ask(statement: str, endpoints: str = "") -> list[tuple[Any, ...]]:
    found = _client(endpoints).query(statement, retry=None, job_retry=None, timeout=60).result(retry=None)
    return [tuple(row) for row in found]


def _table(*columns: tuple[str, ...]) -> str:
    name = f"t{uuid.uuid4().hex}"
    fields = [bigquery.SchemaField(*column) for column in columns]
    _client().create_table(bigquery.Table(f"{_DATASET}.{name}", fields), retry=None, timeout=60)
    return name


def _uri(table: str, options: str) -> str:
    return f"bigquery://{_DATASET}.{table}?{os.environ[ENDPOINTS]}&{options}"


def _read(pipeline: beam.Pipeline, _: Path) -> Outputs:
    table = _table(("id", "INTEGER", "REQUIRED"), ("name", "STRING"))
    _ask(f"INSERT INTO `{_DATASET}.{table}` (id, name) VALUES (1, 'one'), (2, NULL), (3, 'three')")
    read = pipeline | "ReadFromTable_bigquery" >> bp.ReadFromTable(_uri(table, "parts=2"))
    rows = read.good | "ReadFromTable_bigquery: rows" >> beam.Map(lambda batch: batch.select(["__record"]))
    return {"good": rows, "ledger": read.ledger}


def _read_expected(_: Path) -> dict[str, list[str]]:
    rows = [{"__record": {"id": id, "name": name}} for id, name in _KNOWN]
    counts = [(("", "ReadFromTable", "read", ""), 3)]
    return {"good": kept.texts(rows), "ledger": kept.texts(counts)}


def _write(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    outputs: Outputs = {}
    tables = {method: _table(("id", "INTEGER", "REQUIRED"), ("note", "STRING")) for method in _METHODS}
    (folder / "tables").write_text(json.dumps({"endpoints": os.environ[ENDPOINTS], "tables": tables}))
    for method, table in tables.items():
        label = f"WriteToTable_bigquery: {method}"
        made = pipeline | f"{label}: input" >> beam.Create([_ROWS]).with_output_types(pa.RecordBatch)
        uri = _uri(table, f"method={method}")
        write = bp.WriteToTable(uri, _ROWS.schema, staging=str(folder / f"staging-{method}"), commit_id="run-1")
        written = made | label >> write
        rules = written.dead_letters | f"{label}: rules" >> beam.Map(lambda letters: letters.select(["rule"]))
        outputs |= {f"{method} letters": rules, f"{method} ledger": written.ledger}
    return outputs


def _write_found(folder: Path) -> dict[str, list[str]]:
    told = json.loads((folder / "tables").read_text())
    found: dict[str, list[str]] = {}
    for method, table in told["tables"].items():
        found[f"{method} rows"] = kept.texts(_ask(f"SELECT id, note FROM `{_DATASET}.{table}`", told["endpoints"]))
        for what in ("letters", "ledger"):
            found[f"{method} {what}"] = kept.read(folder, f"WriteToTable_bigquery.{method} {what}")
    return found


def _write_expected(_: Path) -> dict[str, list[str]]:
    expected: dict[str, list[str]] = {}
    for method in _METHODS:
        expected |= {
            f"{method} rows": kept.texts([(1, "a"), (2, None), (3, "d")]),
            f"{method} letters": kept.texts([{"rule": "table.required"}]),
            f"{method} ledger": kept.texts([(("rows", "WriteToTable", "dead_lettered", "table.required"), 1)]),
        }
    return expected


_ABOUT = "BigQuery (an emulator)"

CASES = (
    Case("ReadFromTable_bigquery", ("ReadFromTable",), _read, _read_expected, needs="servers", about=_ABOUT),
    Case(
        "WriteToTable_bigquery",
        ("WriteToTable",),
        _write,
        _write_expected,
        _write_found,
        needs="servers",
        about=_ABOUT,
    ),
)
