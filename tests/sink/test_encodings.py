"""Each format and codec, written by the lake's writer and read back by somebody else's reader."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import orc

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode import decode
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.content import ReadOptions, read_content
from beam_pipelines.sink.avro_files import avro_schema
from beam_pipelines.sink.encoding import CODECS, LEVELS, Codec, Encoding, Format
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter, temporary_prefix, write_empty

UTC = datetime.timezone.utc
PLAIN = (
    Field("id", pa.int64()),
    Field("small", pa.int32()),
    Field("note", pa.string()),
    Field("at", pa.timestamp("us", "UTC")),
    Field("day", pa.date32()),
    Field("price", pa.decimal128(20, 4)),
    Field("ratio", pa.float64()),
    Field("flag", pa.bool_()),
)
NESTED = (
    Field.array("tags", Field("item", pa.string())),
    Field.object("place", [Field("city", pa.string()), Field("at", pa.timestamp("us", "UTC"))]),
    Field.map("scores", Field("key", pa.string()), Field("value", pa.int64())),
)
CONTRACT = Contract("rows", (*PLAIN, *NESTED))
EVERY = [(format, codec) for format, codecs in CODECS.items() for codec in codecs]


def write(folder: Path, rows: list[dict[str, Any]], encoding: Encoding, schema: pa.Schema = CONTRACT.schema) -> Path:
    layout = FolderLayout(str(folder), "run-1", "rows", schema, encoding=encoding, row_group_rows=7)
    writer = FolderWriter(layout)
    for start in range(0, len(rows), 5):
        writer.write(pa.RecordBatch.from_pylist(rows[start : start + 5], schema))
    (file,) = writer.close()
    path = Path(f"{temporary_prefix(str(folder), 'run-1')}/{file.path}")
    assert path.stat().st_size == file.bytes
    assert path.name.endswith(f".{encoding.suffix}")
    return path


def instant(micros: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(microseconds=micros)


ROW = st.fixed_dictionaries(
    {
        "id": st.none() | st.integers(-(2**63), 2**63 - 1),
        "small": st.none() | st.integers(-(2**31), 2**31 - 1),
        "note": st.none() | st.text(max_size=8) | st.sampled_from(["", '"', "a,b", "NULL", "\n", "\\", "\r\n", " x "]),
        "at": st.none() | st.integers(-(2**52), 2**52).map(instant),
        "day": st.none() | st.dates(),
        "price": st.none() | st.integers(-(10**20) + 1, 10**20 - 1).map(lambda n: Decimal(n).scaleb(-4)),
        "ratio": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "flag": st.none() | st.booleans(),
        "tags": st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3),
        "place": st.none()
        | st.fixed_dictionaries({"city": st.none() | st.text(max_size=3), "at": st.none() | st.just(instant(1))}),
        "scores": st.none() | st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(0, 9)), max_size=1),
    }
)


@pytest.mark.parametrize(("format", "codec"), EVERY)
def test_what_is_written_is_read_back_by_our_own_reader(
    tmp_path_factory: pytest.TempPathFactory, format: Format, codec: Codec
) -> None:
    # CSV cells hold no nested values for a contract to read.
    contract = Contract("rows", PLAIN) if format == "csv" else CONTRACT

    @settings(max_examples=12 if codec == CODECS[format][0] else 3, deadline=None)
    @given(st.lists(ROW, min_size=1, max_size=12))
    def round_trip(rows: list[dict[str, Any]]) -> None:
        rows = [{name: row[name] for name in contract.names} for row in rows]
        path = write(tmp_path_factory.mktemp("lake"), rows, Encoding(format, codec), contract.schema)
        with path.open("rb") as file:
            batches = [decode(batch, contract) for batch in read_content(file, str(path), ReadOptions())]
        assert not any(FAILURES in batch.schema.names for batch in batches)
        read = [row for batch in batches for row in batch.select(contract.names).to_pylist()]
        assert read == rows

    round_trip()


SOME = [
    {
        **{"id": n, "small": None if n == 3 else n, "note": None if n == 4 else f'é "{n}",' * (n % 3)},
        **{"at": instant(n * 1_000_001), "day": datetime.date(2024, 1, n + 1), "price": Decimal(n).scaleb(-4)},
        **{"ratio": n / 7, "flag": n % 2 == 0, "tags": ["a", None] * (n % 2), "place": {"city": "x", "at": None}},
        "scores": [("k", n)],
    }
    for n in range(20)
]


def _duckdb(path: Path) -> list[dict[str, Any]]:
    # Of CSV, times as text: DuckDB would cut their zone.
    source = {"csv": f"read_csv('{path}', all_varchar=true, allow_quoted_nulls=false)", "parquet": f"'{path}'"}.get(
        path.name.split(".")[1], f"read_json('{path}', format='newline_delimited')"
    )
    return duckdb.sql(f"SELECT id, small, note, price, flag FROM {source} ORDER BY id::int").fetchall()


OTHERS: dict[str, Callable[[Path], list[Any]]] = {
    "parquet": _duckdb,
    "jsonl": _duckdb,
    "csv": _duckdb,
}


@pytest.mark.parametrize(("format", "codec"), [(f, c) for f, c in EVERY if f in OTHERS and c != "bzip2"])
def test_duckdb_reads_the_same(tmp_path: Path, format: Format, codec: Codec) -> None:
    found = OTHERS[format](write(tmp_path, SOME, Encoding(format, codec)))
    if format == "csv":
        assert found == [
            (
                *(None if row[name] is None else str(row[name]) for name in ("id", "small", "note")),
                f"{row['price']:f}",
                str(row["flag"]).lower(),
            )
            for row in SOME
        ]
    else:
        as_written = [(row["id"], row["small"], row["note"], float(row["price"]), row["flag"]) for row in SOME]
        assert [(*row[:3], float(row[3]), row[4]) for row in found] == as_written


@pytest.mark.parametrize("codec", ["gzip", "bzip2", "none"])
def test_fastavro_reads_the_same(tmp_path: Path, codec: Codec) -> None:
    with write(tmp_path, SOME, Encoding("avro", codec)).open("rb") as file:
        rows = list(fastavro.reader(file))
    assert rows == [row | {"scores": dict(row["scores"])} for row in SOME]


@pytest.mark.parametrize(("codec", "unpack"), [("zstd", zstandard.decompress), ("snappy", None)])
def test_avro_codecs_that_fastavro_lacks_hold_the_same_blocks(tmp_path: Path, codec: Codec, unpack: Any) -> None:
    name = {"zstd": b"zstandard", "snappy": b"snappy"}[codec]
    content = write(tmp_path, SOME, Encoding("avro", codec)).read_bytes()
    assert b"avro.codec" + bytes([2 * len(name)]) + name in content
    if unpack:
        assert b"\x28\xb5\x2f\xfd" in content


@pytest.mark.parametrize("codec", CODECS["orc"])
def test_pandas_and_arrow_read_the_same_orc(tmp_path: Path, codec: Codec) -> None:
    path = write(tmp_path, SOME, Encoding("orc", codec))
    assert pd.read_orc(path)["id"].tolist() == list(range(20))
    file = orc.ORCFile(path)
    assert file.compression == {"none": "UNCOMPRESSED", "gzip": "ZLIB"}.get(codec, codec.upper())
    assert file.read().column("price").to_pylist() == [row["price"] for row in SOME]


@pytest.mark.parametrize(("format", "codec"), EVERY)
def test_a_file_without_rows_still_tells_its_columns(tmp_path: Path, format: Format, codec: Codec) -> None:
    layout = FolderLayout(str(tmp_path), "run-1", "rows", CONTRACT.schema, encoding=Encoding(format, codec))
    path = Path(f"{temporary_prefix(str(tmp_path), 'run-1')}/{write_empty(layout).path}")
    with path.open("rb") as file:
        assert list(read_content(file, str(path), ReadOptions(format=format))) == []
    if format == "orc":
        assert orc.ORCFile(path).schema.names == list(CONTRACT.names)
    if format == "avro":
        with path.open("rb") as file:
            assert msgspec.json.decode(fastavro.reader(file).metadata["avro.schema"])["name"] == "row"
    if (format, codec) == ("csv", "none"):
        assert path.read_text() == ",".join(f'"{name}"' for name in CONTRACT.names) + "\n"


@pytest.mark.parametrize(("format", "codec"), [(f, c) for f, c in EVERY if c in LEVELS and f != "orc"])
def test_levels_are_taken(tmp_path: Path, format: Format, codec: Codec) -> None:
    rows = [SOME[n % 20] | {"id": n} for n in range(500)]
    sizes = [write(tmp_path / str(level), rows, Encoding(format, codec, level)).stat().st_size for level in (1, 9)]
    assert sizes[1] <= sizes[0] * 1.1


def test_the_codec_is_really_used(tmp_path: Path) -> None:
    path = write(tmp_path, SOME, Encoding("parquet", "snappy"))
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "SNAPPY"
    gzip = write(tmp_path / "csv", SOME, Encoding("csv", "gzip"))
    assert gzip.read_bytes()[4:8] == b"\0\0\0\0"  # no time: equal rows make equal files


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "parkuet"}, "--output_format: 'parkuet' is not one of parquet, orc, avro, jsonl, csv.*'parquet'"),
        (
            {"format": "csv", "codec": "snappy"},
            "--codec: 'snappy' is not possible in csv, only none, gzip, zstd, bzip2",
        ),
        ({"codec": "zstd", "level": 30}, "--codec_level: 30 is not possible: zstd has the levels 1 to 22"),
        ({"codec": "snappy", "level": 1}, "--codec_level: 1 is not possible: snappy has no levels"),
        ({"format": "orc", "level": 1}, "--codec_level: 1 is not possible: ORC is written without levels"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Encoding(**settings)


def test_a_name_that_avro_does_not_take_is_refused() -> None:
    with pytest.raises(UsageError, match="the column 'unit price' can't be in Avro"):
        avro_schema(pa.schema([("unit price", pa.int64())]))
    assert fastavro.parse_schema(avro_schema(CONTRACT.schema))
