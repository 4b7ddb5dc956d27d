"""Dictionaries of Parquet columns: where values repeat, and nowhere else."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines import dead_letters
from beam_pipelines.sink.encoding import Encoding
from beam_pipelines.sink.formats import create
from beam_pipelines.sink.parquet_dictionaries import FEW_ROWS, REPEATS, worth_a_dictionary

ROWS = 20_000


def columns_of_file(path: str) -> dict[str, set[str]]:
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    return {column.path_in_schema: set(column.encodings) for column in columns}


def test_a_file_has_dictionaries_for_the_columns_whose_values_repeat(tmp_path):
    nested = pa.array([{"a": place, "b": [place]} for place in range(ROWS)])
    rows = pa.table({"id": range(ROWS), "kind": ["view", "buy"] * (ROWS // 2), "nested": nested})
    file = create(f"{tmp_path}/a.parquet", rows.schema, Encoding())
    file.write(rows.to_batches(max_chunksize=7_000))
    file.write(rows.to_batches(max_chunksize=7_000))
    file.close()

    encodings = columns_of_file(f"{tmp_path}/a.parquet")
    with_one = {path for path, used in encodings.items() if "RLE_DICTIONARY" in used}
    assert with_one == {"kind", "nested.a", "nested.b.list.element"}
    assert pq.read_table(f"{tmp_path}/a.parquet").equals(pa.concat_tables([rows, rows]))


def test_values_repeat_when_each_comes_some_times_on_average():
    often = pa.array(range(ROWS // REPEATS)).take(pa.array([row % (ROWS // REPEATS) for row in range(ROWS)]))
    seldom = pa.array([row // (REPEATS - 1) for row in range(ROWS)])
    assert worth_a_dictionary(pa.table({"often": often, "seldom": seldom})) == ["often"]


def test_it_is_the_whole_of_the_first_rows_that_counts_not_only_their_first_batch():
    batch = pa.record_batch({"n": pa.array(range(FEW_ROWS))})
    assert worth_a_dictionary(pa.Table.from_batches([batch])) == []
    assert worth_a_dictionary(pa.Table.from_batches([batch] * REPEATS)) == ["n"]


def test_few_rows_and_types_that_cannot_be_counted_have_dictionaries_as_anywhere():
    assert worth_a_dictionary(pa.table({"id": range(FEW_ROWS - 1)})) == ["id"]
    assert worth_a_dictionary(pa.table({"nothing": pa.nulls(ROWS)})) == ["nothing"]


def test_paths_inside_nested_columns_are_those_of_parquet():
    file = io.BytesIO()
    with pq.ParquetWriter(file, dead_letters.SCHEMA):
        pass
    schema = pq.ParquetFile(file).schema
    paths = {schema.column(place).path for place in range(len(schema))}
    assert set(worth_a_dictionary(dead_letters.SCHEMA.empty_table())) == paths
