"""The sink in real pipelines. Run as a script it is a run that is killed while writing, then while publishing."""

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import apache_beam as beam
import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from beam_pipelines import dead_letters, ledger
from beam_pipelines.errors import UsageError
from beam_pipelines.sink import FinalizeRun, RunIdentity, WriteDeadLetters, WriteToLake, read_dead_letters

ROWS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("country", pa.string()),
        pa.field("price", pa.decimal128(12, 2)),
        pa.field("seen", pa.timestamp("us", "UTC")),
    ]
)
PANES = pa.schema({"country": pa.string(), "revenue": pa.decimal128(38, 2)})
COUNTRIES = ["DE", "FR/Réunion", None]
NOON = datetime(2013, 1, 1, 12, tzinfo=timezone.utc)
RUN = RunIdentity("run-1", "orders", "f1", started=NOON)


def now():
    return NOON


def rows_of(batch):
    """One batch of 30 rows, and what was carried beside them."""
    ids = range(batch * 30, batch * 30 + 30)
    rows = [
        {"id": number, "country": COUNTRIES[number % 3], "price": Decimal(number).scaleb(-2), "seen": NOON}
        for number in ids
    ]
    carried = pa.array([b"raw"] * 30)
    return pa.RecordBatch.from_pylist(rows, ROWS).append_column("__payload", carried)


def letters_of(batch):
    row = {"transform": "t", "rule": "type", "message": "m", "failures": [], "payload": str(batch).encode()}
    return pa.RecordBatch.from_pylist([row], dead_letters.SCHEMA)


def pane(counted):
    return pa.RecordBatch.from_pylist(
        [{"country": "DE", "revenue": Decimal("1.50"), "__rows": counted}],
        PANES.append(pa.field("__rows", pa.int64())),
    )


def entries_of(batch):
    yield ledger.entry("ReadFiles", ledger.READ, 31)
    yield ledger.entry("ValidateBatches", ledger.DEAD_LETTERED, 1, "type")
    yield ledger.entry("AggregateBatches", ledger.AGGREGATED, 30, output=ledger.AGGREGATES)


def build(pipeline, lake, vault, batches=5, *, spoil=None, at_step=None, misread=0):
    numbers = (
        pipeline
        | beam.Create(range(batches))
        | beam.Map(lambda number: TimestampedValue(number, number * 60))
        | beam.WindowInto(FixedWindows(60))  # windows of the data are nothing to the sink
    )
    spoiled = numbers if spoil is None else numbers | "Spoil" >> beam.Map(spoil)
    files = [
        spoiled
        | "Rows" >> beam.Map(rows_of).with_output_types(pa.RecordBatch)
        | WriteToLake(lake, "run-1", "rows", ROWS, ["country"]),
        numbers
        | "Panes" >> beam.Map(lambda _: pane(30)).with_output_types(pa.RecordBatch)
        | WriteToLake(lake, "run-1", "aggregates", PANES),
        numbers
        | "Letters" >> beam.Map(letters_of).with_output_types(pa.RecordBatch)
        | WriteDeadLetters(vault, RUN, format="jsonl"),
    ]
    ledgers = [
        numbers | "Entries" >> beam.FlatMap(entries_of),
        pipeline | "Misread" >> beam.Create([ledger.entry("ReadFiles", ledger.READ, misread)]),
    ]
    hook = {} if at_step is None else {"at_step": at_step}
    return (files, ledgers) | FinalizeRun(lake, RUN, clock=now, **hook)


def run(*args, **settings):
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        build(pipeline, *args, **settings)


class DieAt:
    """Kills the process when it meets the thing it waits for, the given number of times."""

    def __init__(self, what, times):
        self.what = what
        self.times = times

    def __call__(self, thing):
        self.times -= thing == self.what
        if self.times == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return thing


if __name__ == "__main__":
    for settings in ({"spoil": DieAt(4, 1)}, {"at_step": DieAt("moving", 2)}):
        child = os.fork()  # before any thread is started
        if child == 0:
            run(*sys.argv[1:], **settings)
            os._exit(0)
        if os.waitpid(child, 0)[1] & 0x7F != signal.SIGKILL:
            sys.exit(f"not killed by {settings}")
    sys.exit()


@pytest.fixture
def vault(lake):
    return lake.replace("/lake", "/vault")


def local(path):
    return Path(path.removeprefix("bucket://"))


def assert_complete(lake, vault, batches=5):
    folder = local(lake)
    partitioning = ds.partitioning(pa.schema({"country": pa.string()}), flavor="hive")
    found = ds.dataset(folder / "rows", partitioning=partitioning, format="parquet").to_table().sort_by("id")
    expected = pa.Table.from_batches([rows_of(batch).drop_columns(["__payload"]) for batch in range(batches)])
    assert found.select(ROWS.names).to_pylist() == expected.to_pylist()
    query = f"from read_parquet('{folder}/rows/**/*.parquet', hive_partitioning=true)"
    columns = "id, country, price, epoch_us(seen)"
    assert duckdb.sql(f"select {columns} {query} order by id").fetchall() == [
        (row["id"], row["country"], row["price"], int(NOON.timestamp()) * 1_000_000) for row in expected.to_pylist()
    ]
    panes = duckdb.sql(f"select country, revenue from '{folder}/aggregates/*.parquet'").fetchall()
    assert panes == [("DE", Decimal("1.50"))] * batches
    letters = [letter for batch in read_dead_letters(lake) for letter in batch.to_pylist()]
    assert sorted(letter["payload"] for letter in letters) == [str(batch).encode() for batch in range(batches)]
    assert {(letter["pipeline"], letter["run_id"]) for letter in letters} == {("orders", "run-1")}
    manifest = json.loads((folder / "_runs/run-1/manifest.json").read_text())
    shown = {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}
    shown |= {f"{vault}/{path.relative_to(local(vault))}" for path in local(vault).rglob("*.jsonl")}
    assert shown == {file["path"] for file in manifest["files"]}
    assert sum(path.is_file() for path in (folder / "_runs").rglob("*")) == 2
    return manifest


def test_a_run_publishes_rows_aggregates_and_dead_letters_and_balances(lake, vault):
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        yielded = build(pipeline, lake, vault) | beam.Map(lambda text: json.loads(text)["balance"]["written"])
        assert_that(yielded, equal_to([150]))
    manifest = assert_complete(lake, vault)
    assert manifest["created"] == "2013-01-01T12:00:00Z"
    balance = json.loads((local(lake) / "_runs/run-1/balance.json").read_text())
    headline = {name: balance[name] for name in ("read", "written", "dead_lettered", "balanced")}
    assert headline == {"read": 155, "written": 150, "dead_lettered": 5, "balanced": True}
    before = {path: path.stat().st_mtime_ns for path in local(lake).rglob("*") if path.is_file()}
    run(lake, vault)
    assert {path: path.stat().st_mtime_ns for path in local(lake).rglob("*") if path.is_file()} == before


def test_a_run_that_read_nothing_leaves_a_lake_that_can_be_read(tmp_path):
    run(str(tmp_path), str(tmp_path), 0)
    manifest = json.loads((tmp_path / "_runs/run-1/manifest.json").read_text())
    assert [(file["folder"], file["rows"]) for file in manifest["files"]] == [("aggregates", 0), ("rows", 0)]
    rows = duckdb.sql(f"from read_parquet('{tmp_path}/rows/**/*.parquet', hive_partitioning=true)")
    assert rows.fetchall() == []
    assert sorted(rows.columns) == sorted(ROWS.names)
    assert pq.read_table(tmp_path / "aggregates").schema.names == PANES.names


def test_a_run_that_does_not_balance_fails_the_job_and_shows_nothing(tmp_path):
    with pytest.raises(Exception, match=r"run 'run-1' doesn't balance(.|\n)*rows: read 156 is not 150 written"):
        run(str(tmp_path), str(tmp_path), misread=1)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [
        "_runs/run-1/balance.json"
    ]


def test_killed_while_writing_and_while_publishing_and_run_again_the_lake_is_undisturbed(tmp_path):
    lake, vault = str(tmp_path / "lake"), str(tmp_path / "vault")
    root = str(Path(__file__).parents[2])
    died = subprocess.run(
        [sys.executable, __file__, lake, vault],
        env={**os.environ, "PYTHONPATH": root},
        check=False,
        capture_output=True,
    )
    assert died.returncode == 0, died.stderr.decode()
    assert list((tmp_path / "lake" / "_runs" / "run-1" / "commit").iterdir())
    run(lake, vault)
    assert_complete(lake, vault)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"folder": "row"},
            "folder 'row' is not one of rows, aggregates, late, shadow, dead_letters. Did you mean 'rows'?",
        ),
        ({"format": "cvs"}, "--output_format: 'cvs' is not one of parquet, orc, avro, jsonl, csv. Did you mean 'csv'?"),
        ({"folder": "dead_letters", "format": "csv"}, "format 'csv' is not possible for dead letters"),
        ({"codec": "zst"}, "--codec: 'zst' is not possible in parquet, only zstd, snappy, gzip, lz4, none"),
        ({"partition_by": ["contry"]}, "Did you mean 'country'?"),
        ({"run_id": "a/b"}, "--run_id: 'a/b'"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_pipeline_runs(settings, message):
    with pytest.raises(UsageError) as refused:
        WriteToLake(**{"output": "lake", "run_id": "run-1", "folder": "rows", "schema": ROWS, **settings})
    assert message in str(refused.value)
