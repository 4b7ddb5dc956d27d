"""Parquet, ORC and Avro: what an independent reader finds is what is read, in ranges too, and around damage."""

from __future__ import annotations

import datetime
import io
import json
import random
import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyarrow import orc

from beam_pipelines.columnar.provenance import FAILURES, RECORD
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest import ReadFiles
from beam_pipelines.ingest.content import ReadOptions, read_content, read_range
from beam_pipelines.ingest.read_files import _ListRanges

UTC = datetime.timezone.utc
ROWS = [
    {
        "id": n,
        "name": None if n % 7 == 0 else f"name {n}",
        "at": datetime.datetime(2024, 1, 1, tzinfo=UTC) + datetime.timedelta(microseconds=n),
        "day": datetime.date(2024, 1, 1) + datetime.timedelta(days=n % 400),
        "price": Decimal(n).scaleb(-2),
        "tags": [f"t{n % 3}"] * (n % 4),
        "place": {"city": f"c{n % 5}", "code": n % 9},
    }
    for n in range(20_000)
]
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("day", pa.date32()),
        ("price", pa.decimal128(10, 2)),
        ("tags", pa.list_(pa.string())),
        ("place", pa.struct([("city", pa.string()), ("code", pa.int32())])),
    ]
)
AVRO = {
    "type": "record",
    "name": "row",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {
            "name": "place",
            "type": {
                "type": "record",
                "name": "place",
                "fields": [{"name": "city", "type": "string"}, {"name": "code", "type": "int"}],
            },
        },
    ],
}


def avro(rows: list[dict[str, Any]], codec: str = "null", schema: Any = AVRO) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, schema, rows, codec=codec, sync_marker=b"0123456789abcdef", sync_interval=16_000)
    return file.getvalue()


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), file, row_group_size=3000, **options)
    return file.getvalue()


def orc_file(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    writer = orc.ORCWriter(file, stripe_size=1 << 16, compression="uncompressed", batch_size=1024)
    for start in range(0, len(rows), 1000):
        writer.write(pa.Table.from_pylist(rows[start : start + 1000], SCHEMA))
    writer.close()
    return file.getvalue()


def recoded(content: bytes, codec: str, compress: Callable[[bytes], bytes]) -> bytes:
    """The same file in a codec for which fastavro wants another library."""
    file = io.BytesIO()
    fastavro.writer(file, AVRO, [], sync_marker=b"0123456789abcdef")
    name = b"\x08null"
    coded = bytes([2 * len(codec)]) + codec.encode()
    assert file.getvalue().count(name) == 1
    parts = [file.getvalue().replace(name, coded)]
    for block in fastavro.block_reader(io.BytesIO(content)):
        data = compress(block.bytes_.getvalue())
        parts += [long(block.num_records), long(len(data)), data, b"0123456789abcdef"]
    return b"".join(parts)


def long(value: int) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, "long", value)
    return file.getvalue()


def snappy(data: bytes) -> bytes:
    return pa.compress(data, codec="snappy", asbytes=True) + zlib.crc32(data).to_bytes(4, "big")


FILES = {
    "parquet": parquet(ROWS),
    "parquet of version 1": parquet(ROWS, version="1.0", compression="gzip", use_dictionary=False),
    "orc": orc_file(ROWS),
    **{f"avro {codec}": avro(ROWS, codec) for codec in ("null", "deflate", "bzip2", "xz")},
    "avro zstandard": recoded(avro(ROWS), "zstandard", zstandard.compress),
    "avro snappy": recoded(avro(ROWS), "snappy", snappy),
}


def found(batches: Any) -> tuple[list[dict[str, Any]], list[tuple[str, int, bytes, str]]]:
    """Rows with their positions as `#`, and refusals."""
    rows, refused = [], []
    for batch in batches:
        if FAILURES in batch.schema.names:
            refused += [
                (row[FAILURES][0]["rule"], row["__position"], row["__payload"], row[FAILURES][0]["message"])
                for row in batch.to_pylist()
            ]
        else:
            records = batch.column(RECORD).to_pylist()
            rows += [{"#": at, **row} for at, row in zip(batch.column("__position").to_pylist(), records, strict=True)]
    return rows, refused


def read(content: bytes, **options: Any) -> tuple[list[dict[str, Any]], list[tuple[str, int, bytes, str]]]:
    return found(read_content(io.BytesIO(content), "data", ReadOptions(**options)))


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its position, and with Python's times."""
    as_python = {"at": row["at"].to_pydatetime() if hasattr(row["at"], "to_pydatetime") else row["at"]}
    return {name: value for name, value in row.items() if name != "#"} | as_python


@pytest.mark.parametrize("kind", FILES)
def test_rows_are_those_that_were_written_each_at_a_place_of_its_own(kind: str) -> None:
    rows, refused = read(FILES[kind])
    assert [plain(row) for row in rows] == ROWS
    assert refused == []
    positions = [row["#"] for row in rows]
    assert positions == sorted(set(positions))
    if "avro" not in kind:
        assert positions == list(range(len(ROWS)))


@pytest.mark.parametrize("kind", ["parquet", "orc", "avro null"])
def test_only_wanted_columns_are_read_in_any_spelling(kind: str) -> None:
    rows, _ = read(FILES[kind], columns=("price", "ID", "no such"))
    assert rows[5] == {"#": rows[5]["#"], "id": 5, "price": Decimal("0.05")}
    every, _ = read(FILES[kind], columns=("no such",))
    assert len(every[0]) == 1 + len(SCHEMA)  # so that a dead letter shows what there is


@pytest.mark.parametrize("kind", ["parquet", "avro null", "avro deflate"])
def test_ranges_have_each_row_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(FILES[kind])
    whole = read(FILES[kind])[0]
    for split_bytes in (200, 5_000, 100_001):
        listing = _ListRanges(ReadOptions(), split_bytes).process(([str(path)], None))
        rows: list[dict[str, Any]] = []
        parts = list(listing)[::-1]
        assert len(parts) > (1 if split_bytes < 100_000 else 0)
        for _, format, start, stop in parts[:400]:
            with path.open("rb") as file:
                more, refused = found(read_range(file, "data", format, start, stop, ReadOptions()))
            assert refused == []
            rows += more
        if len(parts) <= 400:
            assert sorted(rows, key=lambda row: row["#"]) == whole


def test_avro_within_gzip_is_read_and_parquet_within_it_is_refused(tmp_path: Path) -> None:
    import gzip

    assert len(read(gzip.compress(FILES["avro null"]))[0]) == len(ROWS)
    with pytest.raises(UsageError, match="'data' is Parquet inside gzip, which can't be read: decompress it first"):
        read(gzip.compress(FILES["parquet"]))


def test_a_pipeline_reads_all_of_them_with_a_balance(tmp_path: Path) -> None:
    for name in ("parquet", "orc", "avro deflate"):
        (tmp_path / name).write_bytes(FILES[name])
    (tmp_path / "torn").write_bytes(FILES["parquet"][:-9])
    counted = tmp_path / "counted"
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        outcome = pipeline | ReadFiles(f"{tmp_path}/*", split_bytes=100_000)
        sizes = (
            (outcome.good | beam.Map(lambda batch: ("good", batch.num_rows))),
            (outcome.dead_letters | beam.Map(lambda batch: (batch.column("rule")[0].as_py(), batch.num_rows))),
            (outcome.ledger | beam.Map(lambda entry: (entry[0][2], entry[1]))),
        )
        _ = (
            sizes
            | beam.Flatten()
            | beam.CombinePerKey(sum)
            | beam.combiners.ToDict()
            | beam.Map(lambda told: counted.write_text(json.dumps(told)))
        )
    assert json.loads(counted.read_text()) == {
        "good": 3 * len(ROWS),
        "read": 3 * len(ROWS) + 1,
        "file.corrupt": 1,
        "dead_lettered": 1,
    }


def test_a_broken_avro_block_costs_that_block() -> None:
    content = bytearray(FILES["avro deflate"])
    sync = b"0123456789abcdef"
    marks = [at for at in range(len(content)) if content[at : at + 16] == sync]
    content[marks[3] + 40 : marks[3] + 60] = b"x" * 20  # within the fourth block
    rows, refused = read(bytes(content))
    assert [rule for rule, _, _, _ in refused] == ["avro.damaged_block"]
    assert refused[0][1] == marks[3] + 16
    assert b"x" * 20 in refused[0][2]
    lost = {row["id"] for row in ROWS} - {row["id"] for row in rows}
    assert lost
    assert all(plain(row) == ROWS[row["id"]] for row in rows)
    assert lost == set(range(min(lost), max(lost) + 1))


def test_bytes_between_avro_blocks_are_kept_and_reading_goes_on() -> None:
    content = FILES["avro null"]
    at = content.index(b"0123456789abcdef", 5000) + 16
    rows, refused = read(content[:at] + b"\xff" * 50 + content[at:])
    # The block behind the noise goes with it: where it begins can't be told.
    assert [rule for rule, _, _, _ in refused] == ["avro.damaged_block"]
    assert refused[0][2].startswith(b"\xff" * 40)
    assert len(ROWS) - 2000 < len(rows) < len(ROWS)


@pytest.mark.parametrize("cut", [3, 100, 2000, 20_000])
def test_an_avro_file_cut_off_keeps_its_whole_blocks(cut: int) -> None:
    rows, refused = read(FILES["avro null"][:-cut])
    assert [rule for rule, _, _, _ in refused] == ["file.truncated"]
    assert [plain(row) for row in rows] == ROWS[: len(rows)]
    assert len(rows) > len(ROWS) - 2000


def test_a_parquet_row_group_that_is_broken_keeps_the_rows_before_and_all_other_groups() -> None:
    content = bytearray(
        parquet(ROWS, write_page_checksum=True, data_page_size=2000, compression="none", use_dictionary=False)
    )
    group = pq.ParquetFile(io.BytesIO(bytes(content))).metadata.row_group(2)
    start = group.column(0).data_page_offset
    content[start + 12_000] ^= 0xFF
    rows, refused = read(bytes(content), max_batch_rows=100)
    assert [rule for rule, _, _, _ in refused] == ["file.corrupt"]
    assert "in row group 2 can't be read" in refused[0][3]
    kept = [row["#"] for row in rows]
    assert kept == [*range(refused[0][1]), *range(9000, len(ROWS))]
    assert 6000 < refused[0][1] < 9000


@pytest.mark.parametrize("kind", ["parquet", "orc", "avro null"])
def test_any_damage_ends_in_rows_and_refusals_and_never_in_a_crash(kind: str) -> None:
    chance = random.Random(7)
    whole = FILES[kind]
    for _ in range(20):
        content = bytearray(whole)
        for _ in range(chance.choice([1, 3, 200])):
            content[chance.randrange(8, len(content))] = chance.randrange(256)
        if chance.random() < 0.3:
            del content[chance.randrange(8, len(content)) :]
        try:
            options = ReadOptions(format=kind.split()[0])
            batches = list(read_content(io.BytesIO(bytes(content)), "data", options))
        except UsageError:
            assert kind == "avro null"  # its schema is JSON, and may say something else now
            continue
        assert sum(batch.num_rows for batch in batches) >= 1


@pytest.mark.parametrize("kind", ["parquet", "orc"])
def test_what_is_no_such_file_is_one_refusal(kind: str) -> None:
    for content in (FILES[kind][:4], FILES[kind][:-5], b""):
        rows, refused = read(content, format=kind)
        assert rows == []
        assert [(rule, at, payload) for rule, at, payload, _ in refused] == [("file.corrupt", 0, b"")]


def test_an_io_error_that_may_pass_is_raised_for_the_runner() -> None:
    class Flaky(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 1000 and size != 8:
                raise OSError(104, "connection reset")
            return super().read(size)

    with pytest.raises(OSError, match=r"can't read 'data'.*connection reset"):
        found(read_content(Flaky(FILES["parquet"]), "data", ReadOptions(format="parquet", compression="none")))


def test_avro_types_become_arrows() -> None:
    schema = {
        "type": "record",
        "name": "r",
        "namespace": "n.s",
        "fields": [
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
            {"name": "again", "type": ["null", "n.s.Kind"]},
            {"name": "same", "type": "Kind"},
            {"name": "number", "type": ["null", "int", "long", "double"]},
            {"name": "any", "type": ["null", "string", "long", {"type": "array", "items": "long"}]},
            {"name": "scores", "type": {"type": "map", "values": ["null", "int"]}},
            {"name": "inner", "type": {"type": "array", "items": {"type": "map", "values": "string"}}},
            {"name": "milli", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
            {"name": "time", "type": {"type": "int", "logicalType": "time-millis"}},
            {"name": "fixed", "type": {"type": "fixed", "name": "F", "size": 2}},
            {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
        ],
    }
    rows = [
        {
            **{"kind": "A", "again": None, "same": "B", "number": 1, "any": "x", "scores": {"a": 1, "b": None}},
            **{"inner": [{"k": "v"}], "milli": 1000, "time": 1, "fixed": b"ab", "uuid": "0" * 8},
        },
        {
            **{"kind": "B", "again": "A", "same": "A", "number": 1.5, "any": [1, 2], "scores": {}},
            **{"inner": [], "milli": 0, "time": 0, "fixed": b"\xff\x00", "uuid": ""},
        },
    ]
    for row in rows:
        row["uuid"] = "12345678-1234-5678-1234-567812345678"
    got, refused = read(avro(rows, schema=schema))
    assert refused == []
    first, second = ({name: value for name, value in row.items() if name != "#"} for row in got)
    assert first == {
        **{"kind": "A", "again": None, "same": "B", "number": 1.0, "any": "x", "scores": [("a", 1), ("b", None)]},
        **{"inner": [[("k", "v")]], "milli": datetime.datetime(1970, 1, 1, 0, 0, 1)},
        **{"time": datetime.time(microsecond=1000), "fixed": b"ab", "uuid": "12345678-1234-5678-1234-567812345678"},
    }
    assert (second["number"], second["any"], second["scores"]) == (1.5, "[1,2]", [])


def test_an_avro_schema_that_is_no_table_is_refused() -> None:
    tree = {"type": "record", "name": "t", "fields": [{"name": "next", "type": ["null", "t"]}]}
    with pytest.raises(UsageError, match="Avro with a record 't' inside itself"):
        read(avro([{"next": None}], schema=tree))
    with pytest.raises(UsageError, match="its schema is no record"):
        read(avro([1], schema="long"))  # type: ignore[list-item]
