import datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter, temporary_prefix
from beam_pipelines.sink.partitions import (
    NULL_PARTITION,
    by_partition,
    check_partition_columns,
    escape,
    unescape,
    values_of,
)

UTC = datetime.timezone.utc

NASTY = [
    None,
    "",
    " ",
    "a b",
    "a/b",
    "../../etc",
    "..",
    "a=b&c",
    "100%",
    "%2F",
    "a+b",
    "é",
    "日本",
    "a\nb\r\t",
    "a\x00b",
    "*?[x]{y}",
    "NULL",
    "null",
    'it\'s "quoted"',
    "c:\\d#e",
    "_x",
    "~",
    "007",
]


@given(st.text())
def test_any_text_is_one_name_in_a_path_and_reads_back(text):
    spelt = escape(text)
    assert "/" not in spelt
    assert "\x00" not in spelt
    assert unescape(spelt) == text


@given(st.lists(st.tuples(st.one_of(st.none(), st.text(max_size=5)), st.one_of(st.none(), st.integers(0, 3)))))
def test_pieces_hold_each_row_once_in_order_below_the_folder_of_its_values(keys):
    schema = pa.schema({"name": pa.string(), "n": pa.int64(), "row": pa.int64()})
    rows = [{"name": name, "n": n, "row": row} for row, (name, n) in enumerate(keys)]
    found = []
    for folder, piece in by_partition(pa.RecordBatch.from_pylist(rows, schema), ["name", "n"]):
        values = values_of(f"rows/{folder}/file")
        numbers = piece.column("row").to_pylist()
        assert piece.schema.names == ["row"]
        assert numbers == sorted(numbers)
        n = None if values["n"] is None else int(values["n"])
        found += [{"name": values["name"], "n": n, "row": row} for row in numbers]
    expected = [{**row, "name": None if row["name"] == NULL_PARTITION else row["name"]} for row in rows]
    assert sorted(found, key=lambda row: row["row"]) == expected


def write(folder, schema, rows, by):
    writer = FolderWriter(FolderLayout(str(folder), "run-1", "rows", schema, tuple(by)))
    writer.write(pa.RecordBatch.from_pylist(rows, schema))
    files = writer.close()
    return f"{temporary_prefix(str(folder), 'run-1')}/rows", files


def test_text_values_read_back_with_pyarrow_and_duckdb(tmp_path):
    schema = pa.schema({"id": pa.int64(), "name": pa.string()})
    rows = [{"id": number, "name": name} for number, name in enumerate(NASTY)]
    folder, _ = write(tmp_path, schema, rows, ["name"])
    partitioning = ds.partitioning(pa.schema({"name": pa.string()}), flavor="hive")
    table = ds.dataset(folder, partitioning=partitioning, format="parquet").to_table(columns=["id", "name"])
    assert table.sort_by("id").to_pylist() == rows
    query = f"from read_parquet('{folder}/**/*.parquet', hive_partitioning=true, hive_types={{'name': VARCHAR}})"
    assert duckdb.sql(f"select id, name {query} order by id").fetchall() == list(enumerate(NASTY))


def test_typed_values_read_back_with_pyarrow_and_duckdb(tmp_path):
    schema = pa.schema(
        {
            "id": pa.int64(),
            "day": pa.date32(),
            "seen": pa.timestamp("us", "UTC"),
            "big": pa.int64(),
            "ok": pa.bool_(),
            "price": pa.decimal128(12, 8),
        }
    )
    keys = [
        (datetime.date(2013, 1, 2), datetime.datetime(2013, 1, 2, 3, tzinfo=UTC), 2**62, True, Decimal("0.00000001")),
        (datetime.date(1969, 1, 2), datetime.datetime(2013, 1, 2, 3, 4, 5, 6, UTC), -1, False, Decimal("-12.5")),
        (None, None, None, None, None),
    ]
    rows = [dict(zip(schema.names, (number, *key), strict=True)) for number, key in enumerate(keys)]
    folder, files = write(tmp_path, schema, rows, schema.names[1:])
    assert any("day=2013-01-02/seen=2013-01-02T03%3A00%3A00Z/" in file.path for file in files)
    # pyarrow can't parse decimals in partitions: it reads all the others.
    typed = pa.schema([field if field.name != "price" else field.with_type(pa.string()) for field in list(schema)[1:]])
    partitioning = ds.partitioning(typed, flavor="hive")
    table = ds.dataset(folder, partitioning=partitioning, format="parquet").to_table()
    found = table.select(schema.names).sort_by("id").to_pylist()
    for row in found:
        row["price"] = None if row["price"] is None else Decimal(row["price"])
    assert found == rows
    types = "{'day': DATE, 'seen': TIMESTAMPTZ, 'big': BIGINT, 'ok': BOOLEAN, 'price': 'DECIMAL(12,8)'}"
    query = f"from read_parquet('{folder}/**/*.parquet', hive_partitioning=true, hive_types={types})"
    duckdb.sql("set timezone='UTC'")
    named = ", ".join(schema.names)
    assert [tuple(row) for row in duckdb.sql(f"select {named} {query} order by id").fetchall()] == [
        (number, *key) for number, key in enumerate(keys)
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["contry"], "partition column 'contry' is not a column. Did you mean 'country'?"),
        (["price"], "'price' is of type double; it may be"),
        (["_hidden"], "readers skip folders whose names start with '_'"),
        (["country", "country"], "one is named twice"),
        (["country", "id"], "files need at least one column of their own"),
    ],
)
def test_columns_that_cannot_be_partitions_are_refused(columns, message):
    schema = pa.schema({"country": pa.string(), "id": pa.int64()})
    if columns == ["price"]:
        schema = schema.append(pa.field("price", pa.float64()))
    if columns == ["_hidden"]:
        schema = schema.append(pa.field("_hidden", pa.string()))
    with pytest.raises(UsageError) as refused:
        check_partition_columns(schema, columns)
    assert message in str(refused.value)


def test_a_value_too_long_for_a_folder_is_an_error_that_names_its_column():
    with pytest.raises(UsageError, match=r"partition column 'name' holds a value of 305 bytes"):
        list(by_partition(pa.record_batch({"name": ["x" * 300], "id": [1]}), ["name"]))
