"""Rows of Iceberg tables: one snapshot of them, what came after another, and only the files and columns wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
)
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, StringType

from beam_pipelines import Contract, DecodeBatches, Field, ReadFromTable, ValidateBatches
from beam_pipelines.columnar.provenance import RECORD
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.tables import iceberg
from beam_pipelines.ingest.tables.known import table_of
from tests.sink.tables.killed import ROWS, batch
from tests.sink.tables.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()
    iceberg._planned.cache_clear()


@pytest.fixture
def orders(shop: Shop) -> Shop:
    """A table of three snapshots, of ten rows each."""
    opened = shop.make(ROWS)
    for first in (0, 10, 20):
        opened.append(pa.Table.from_batches([batch(first, first + 10)]))
    return shop


def ids(uri: str, columns: tuple[str, ...] | None = None) -> list[int]:
    source = table_of(uri, columns)
    source.check()
    return sorted(row["id"] for part in source.parts() for rows in source.read(part) for row in rows.to_pylist())


def snapshots(shop: Shop) -> list[int]:
    return [snapshot.snapshot_id for snapshot in shop.open().snapshots()]


def test_a_part_is_a_file_of_the_snapshot_that_was_there_when_parts_were_asked(orders: Shop) -> None:
    source = table_of(orders.uri(), None)
    parts = source.parts()
    orders.open().append(pa.Table.from_batches([batch(30, 40)]))
    orders.open().delete("id < 5")
    assert len(parts) == 3
    found = sorted(row["id"] for part in parts for rows in source.read(part) for row in rows.to_pylist())
    assert found == list(range(30))
    assert ids(orders.uri()) == list(range(5, 40))


def test_older_snapshots_are_read_by_id_time_tag_and_branch(orders: Shop) -> None:
    first, second, _ = orders.open().snapshots()
    assert ids(orders.uri(snapshot=first.snapshot_id)) == list(range(10))
    then = datetime.fromtimestamp(second.timestamp_ms / 1000, timezone.utc).isoformat()
    assert ids(orders.uri(as_of=then)) == list(range(20))
    orders.open().manage_snapshots().create_tag(first.snapshot_id, "audited").commit()
    assert ids(orders.uri(ref="audited")) == list(range(10))


def test_what_was_appended_after_a_snapshot_is_read_alone(orders: Shop) -> None:
    first, second, last = snapshots(orders)
    assert ids(orders.uri(after=first)) == list(range(10, 30))
    assert ids(orders.uri(after=second)) == list(range(20, 30))
    assert ids(orders.uri(after=last)) == []
    assert ids(orders.uri(after=first, snapshot=second)) == list(range(10, 20))


def test_rows_that_were_replaced_after_a_snapshot_are_not_told_as_new(orders: Shop) -> None:
    first = snapshots(orders)[0]
    orders.open().delete("id = 15")
    with pytest.raises(UsageError, match=r"\?after=.* replaced or deleted rows .* read the whole snapshot"):
        ids(orders.uri(after=first))


def test_only_wanted_columns_and_files_are_read(orders: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    source = table_of(orders.uri(where="id >= 22"), ("amount", "id", "unknown"))
    (part,) = source.parts()
    (rows,) = source.read(part)
    assert rows.schema.names == ["id", "amount"]
    assert rows.column("id").to_pylist() == list(range(22, 30))


def test_rows_that_delete_files_take_away_are_gone(orders: Shop) -> None:
    _delete_by_position(orders, {3, 7})
    assert ids(orders.uri()) == [number for number in range(30) if number not in (3, 7)]


def test_a_read_is_a_part_of_a_pipeline(orders: Shop) -> None:
    fields = (Field("id", pa.int64(), required=True), Field("country", pa.string(), required=True))
    contract = Contract("orders", (*fields, Field("amount", pa.decimal128(12, 2))))
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadFromTable(orders.uri(), ["id", "country", "amount"])
        checked = read.good | DecodeBatches(contract) | ValidateBatches(contract)
        good = checked.good | beam.FlatMap(lambda rows: rows.column("id").to_pylist())
        letters = checked.dead_letters | beam.FlatMap(
            lambda rows: [json.loads(payload)["id"] for payload in rows.column("payload").to_pylist()]
        )
        assert_that(good, equal_to([number for number in range(30) if number % 10 != 9]), "good")
        assert_that(letters, equal_to([9, 19, 29]), "letters")


def test_a_table_without_rows_is_read_as_none(shop: Shop) -> None:
    shop.make(ROWS)
    assert ids(shop.uri()) == []
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadFromTable(shop.uri())
        assert_that(read.good, equal_to([]))


def test_texts_and_nested_values_come_as_files_have_them(shop: Shop) -> None:
    kind = pa.struct([("tags", pa.list_(pa.string())), ("price", pa.decimal128(9, 2))])
    schema = pa.schema([("id", pa.int64()), ("item", kind), ("at", pa.timestamp("us", "UTC")), ("raw", pa.binary())])
    rows = [{"id": 1, "item": {"tags": ["a", None], "price": None}, "at": None, "raw": b"\0"}, {"id": 2}]
    shop.make(schema).append(pa.Table.from_pylist(rows, schema))
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadFromTable(shop.uri())
        found = read.good | beam.FlatMap(lambda batch: batch.column(RECORD).to_pylist())
        told = [{name: row.get(name) for name in schema.names} for row in rows]
        assert_that(found, equal_to(told))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"snapshot": 1}, r"\?snapshot=1: there is no such snapshot, or it has expired. The newest: "),
        ({"snapshot": "x"}, r"\?snapshot"),
        ({"as_of": "2001-01-01"}, r"\?as_of=2001-01-01: there was no snapshot yet"),
        ({"as_of": "yesterday"}, r"'yesterday' is not a time such as 2024-05-01T12:00:00Z"),
        ({"ref": "mian"}, r"\?ref: there is no branch or tag. Did you mean 'main'\?"),
        ({"after": 7}, r"\?after=7: it isn't among the snapshots before"),
        ({"where": "id >"}, r"\?where=id >"),
        ({"where": "idd = 1"}, r"idd"),
        ({"snapshot": 1, "ref": "main"}, r"\?snapshot and \?ref both say which snapshot"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(orders: Shop, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table_of(orders.uri(**options), None).check()


def test_a_table_or_columns_that_are_not_there_are_told(orders: Shop) -> None:
    with pytest.raises(UsageError, match=r"there is no such table. Did you mean 'sales.orders'\?"):
        table_of(orders.uri("ordrs"), None).check()
    with pytest.raises(UsageError, match=r"has none of the columns nothing. There is: id, country"):
        table_of(orders.uri(), ("nothing",)).check()
    with pytest.raises(UsageError, match=r"names no table: write iceberg://CATALOG/NAMESPACE.TABLE"):
        table_of("iceberg://shop/orders", None)


def _delete_by_position(shop: Shop, positions: set[int]) -> None:
    """What an engine that merges on read does, and pyiceberg can't: a file of positions, in a manifest of deletes."""
    opened = shop.open()
    task = next(task for task in opened.scan(row_filter="id = 3").plan_files())
    path = f"{opened.location()}/data/deletes.parquet"
    schema = Schema(
        *[
            __import__("pyiceberg.types", fromlist=["NestedField"]).NestedField(number, name, kind, required=True)
            for number, name, kind in ((2147483546, "file_path", StringType()), (2147483545, "pos", LongType()))
        ]
    )
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    gone = pa.table({"file_path": [task.file.file_path] * len(positions), "pos": sorted(positions)})
    pq.write_table(gone.cast(schema_to_pyarrow(schema)), path.removeprefix("file://"))
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=task.file.partition,
        record_count=len(positions),
        file_size_in_bytes=Path(path.removeprefix("file://")).stat().st_size,
        column_sizes={},
        value_counts={},
        null_value_counts={},
        nan_value_counts={},
        lower_bounds={},
        upper_bounds={},
        spec_id=0,
    )
    transaction = opened.transaction()
    append = transaction.update_snapshot().fast_append()
    real = append._manifests

    def with_deletes() -> list[object]:
        with append.new_manifest_writer(opened.spec()) as writer:
            writer.add(
                ManifestEntry.from_args(
                    status=ManifestEntryStatus.ADDED,
                    snapshot_id=append.snapshot_id,
                    sequence_number=None,
                    file_sequence_number=None,
                    data_file=deletes,
                )
            )
        written = writer.to_manifest_file()
        written[3] = ManifestContent.DELETES
        return [*real(), written]

    append._manifests = with_deletes  # type: ignore[method-assign, assignment]
    append.commit()
    transaction.commit_transaction()
