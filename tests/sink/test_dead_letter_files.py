import json
from datetime import datetime, timezone

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines import dead_letters
from beam_pipelines.dead_letters import failure
from beam_pipelines.errors import UsageError
from beam_pipelines.sink import read_dead_letters, to_json_lines
from beam_pipelines.sink.dead_letter_files import from_json_lines, stamp
from beam_pipelines.sink.encoding import Encoding
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter
from beam_pipelines.sink.publishing import finalize
from beam_pipelines.sink.runs import RunIdentity

NOON = datetime(2013, 1, 1, 12, tzinfo=timezone.utc)


def letters(payloads, **columns):
    rows = [
        {
            "transform": "ValidateBatches",
            "rule": "json.malformed",
            "message": "not JSON",
            "failures": [failure("json.malformed", None, None, "not JSON"), failure("type", "id", "x", "not a number")],
            "payload": payload,
            "source": "a.jsonl",
            "position": 2**40 + number,
            **columns,
        }
        for number, payload in enumerate(payloads)
    ]
    return pa.RecordBatch.from_pylist(rows, dead_letters.SCHEMA)


def test_letters_are_stamped_with_their_run_and_otherwise_unchanged():
    before = letters([b"x", None])
    after = stamp(before, "orders", "run-1")
    assert after.column("pipeline").to_pylist() == ["orders"] * 2
    assert after.column("run_id").to_pylist() == ["run-1"] * 2
    others = [name for name in dead_letters.SCHEMA.names if name not in ("pipeline", "run_id")]
    assert after.select(others).equals(before.select(others))


def test_other_batches_are_no_letters():
    with pytest.raises(ValueError, match="not a batch of dead letters: its columns are id"):
        stamp(pa.record_batch({"id": [1]}), "orders", "run-1")


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.binary(max_size=20), st.text(max_size=10).map(str.encode)),
            st.one_of(st.none(), st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)), max_size=3)),
        ),
        max_size=5,
    )
)
def test_json_lines_lose_nothing(rows):
    batch = letters([payload for payload, _ in rows], event_time=NOON, publish_time=NOON, key=b"\xff\x00", partition=3)
    attributes = pa.array([each for _, each in rows], dead_letters.SCHEMA.field("attributes").type)
    batch = batch.set_column(dead_letters.SCHEMA.get_field_index("attributes"), "attributes", attributes)
    text = to_json_lines(batch)
    assert text.count(b"\n") == len(rows)
    assert from_json_lines(text).equals(batch.cast(dead_letters.SCHEMA))


def test_a_payload_is_text_where_it_is_utf8_and_base64_where_not():
    text, coded = map(json.loads, to_json_lines(letters([b'{"a": "\xc3\xa9"}\x00', b"\xff"])).splitlines())
    assert text["payload"] == '{"a": "é"}\x00'
    assert "payload_base64" not in text
    assert coded["payload_base64"] == "/w=="
    assert "payload" not in coded
    assert [each["rule"] for each in text["failures"]] == ["json.malformed", "type"]
    assert text["position"] == 2**40


def publish(lake, run_id, payloads, *, vault=None, format="parquet"):
    encoding = Encoding(format)
    writer = FolderWriter(FolderLayout(vault or lake, run_id, "dead_letters", dead_letters.SCHEMA, encoding=encoding))
    writer.write(stamp(letters(payloads), "orders", run_id))
    entries = [
        (("", "s", "read", ""), len(payloads)),
        (("", "s", "dead_lettered", "json.malformed"), len(payloads)),
    ]
    return finalize(lake, RunIdentity(run_id, "orders", "f"), writer.close(), entries)


def payloads_of(*args):
    return sorted(payload for batch in read_dead_letters(*args) for payload in batch.column("payload").to_pylist())


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_letters_of_committed_runs_are_read_back_in_either_format(lake, format):
    publish(lake, "r1", [b"a", b"\xff"], format=format)
    publish(lake, "r1-2", [b"b"], format=format)
    assert payloads_of(lake) == [b"a", b"b", b"\xff"]
    assert payloads_of(lake, "r1") == [b"a", b"\xff"]
    assert next(read_dead_letters(lake, "r1")).schema.equals(dead_letters.SCHEMA)
    with pytest.raises(UsageError, match=r"no committed run 'r3' in .*lake"):
        list(read_dead_letters(lake, "r3"))


def test_letters_under_another_root_are_found_from_the_lake_and_from_there(lake):
    vault = lake.replace("/lake", "/vault")
    manifest = publish(lake, "r1", [b"a"], vault=vault)
    publish(lake, "r1-2", [b"b"], vault=vault)
    assert [file["path"].startswith(f"{vault}/dead_letters/r1-") for file in manifest["files"]] == [True]
    assert payloads_of(lake) == payloads_of(vault) == [b"a", b"b"]
    assert payloads_of(vault, "r1") == [b"a"]
    with pytest.raises(UsageError, match="no dead letters of a run 'r2'"):
        list(read_dead_letters(vault, "r2"))


def test_a_folder_that_is_no_lake_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is no lake"):
        list(read_dead_letters(str(tmp_path / "nothing")))


def test_both_formats_are_readable_with_duckdb(tmp_path):
    publish(str(tmp_path), "r1", [b'{"a": 1}', b"x"], format="jsonl")
    publish(str(tmp_path), "r2", [b'{"a": 1}', b"x"])
    jsonl = duckdb.sql(f"select payload, failures[1].rule from '{tmp_path}/dead_letters/r1-*.jsonl' order by payload")
    assert jsonl.fetchall() == [("x", "json.malformed"), ('{"a": 1}', "json.malformed")]
    parquet = duckdb.sql(f"select payload, failures[2].field from '{tmp_path}/dead_letters/r2-*.parquet' order by 1")
    assert parquet.fetchall() == [(b"x", "id"), (b'{"a": 1}', "id")]
