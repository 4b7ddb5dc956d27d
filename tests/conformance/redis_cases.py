"""Redis' sink, with a server that the test process has started."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import redis

import beam_pipelines as bp
from tests.conformance import kept
from tests.conformance.case import Case, Outputs

SERVER = "CONFORMANCE_REDIS"
"""Environment variable of the process that submits: the server's port."""


def _write(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    port, prefix = os.environ[SERVER], f"{uuid.uuid4()}:"
    (folder / "place").write_text(f"{port} {prefix}")
    batch = pa.record_batch({"page": ["a", "b", None, "a"], "n": [1, 2, 3, 4], "at": [7, 5, 6, 3]})
    made = pipeline | "WriteToRedis: input" >> beam.Create([batch]).with_output_types(pa.RecordBatch)
    uri = f"redis://127.0.0.1:{port}/10?key=page&order=at&prefix={prefix}"
    written = made | "WriteToRedis" >> bp.WriteToRedis(uri, batch.schema)
    rules = written.dead_letters | "WriteToRedis: rules" >> beam.Map(lambda letters: letters.select(["rule"]))
    return {"letters": rules, "ledger": written.ledger}


def _write_found(folder: Path) -> dict[str, list[str]]:
    port, prefix = (folder / "place").read_text().split()
    client = redis.Redis("127.0.0.1", int(port), 10)
    rows = {page: client.hget(f"{prefix}{page}", "n") for page in ("a", "b")}
    kept_ones = {name: kept.read(folder, f"WriteToRedis.{name}") for name in ("letters", "ledger")}
    return {"rows": kept.texts(list(rows.items())), **kept_ones}


def _write_expected(folder: Path) -> dict[str, list[str]]:
    counts = [
        (("rows", "WriteToRedis", "written", ""), 3),
        (("rows", "WriteToRedis", "dead_lettered", "redis.refused"), 1),
    ]
    return {
        "rows": kept.texts([("a", b"1"), ("b", b"2")]),
        "letters": kept.texts([{"rule": "redis.refused"}]),
        "ledger": kept.texts(counts),
    }


CASES = (Case("WriteToRedis", ("WriteToRedis",), _write, _write_expected, _write_found, needs="servers"),)
