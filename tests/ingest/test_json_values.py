"""JSON arrays, and values one after another, against Python's own decoder."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.provenance import FAILURES, RECORD_FORMAT
from beam_pipelines.ingest.content import ReadOptions, read_content
from beam_pipelines.ingest.json_values import split_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('a"\\,[]{}\n é'), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('k"\\]', max_size=3), inner, max_size=3),
    max_leaves=8,
)
SPACE = st.text(" \t\r\n", max_size=2).map(str.encode)


def cut(content: bytes, size: int, most: int = 1 << 20) -> tuple[list[bytes], list[tuple[str, bytes]]]:
    """Records, which stand where they say, and refusals."""
    records: list[bytes] = []
    refused: list[tuple[str, bytes]] = []
    blocks = iter([content[at : at + size] for at in range(0, len(content), size)])
    for found in split_json(blocks, max_record_bytes=most):
        if isinstance(found, list):
            refused += [(each.rule, each.payload) for each in found]
            assert all(content[each.position :].startswith(each.payload) for each in found)
        else:
            payloads = found.payloads.to_pylist()
            for payload, at in zip(payloads, found.positions.to_pylist(), strict=True):
                assert content[at : at + len(payload)] == payload
            records += payloads
    return records, refused


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(SPACE, VALUES, SPACE), max_size=6), SPACE, st.integers(1, 40))
def test_an_array_gives_its_elements_however_it_is_cut(
    parts: list[tuple[bytes, Any, bytes]], around: bytes, size: int
) -> None:
    inside = b",".join(before + json.dumps(value).encode() + after for before, value, after in parts)
    records, refused = cut(around + b"[" + inside + b"]" + around, size)
    assert [json.loads(record) for record in records] == [value for _, value, _ in parts]
    assert refused == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6), SPACE, st.integers(1, 40))
def test_values_one_after_another_are_records(objects: list[dict[str, Any]], between: bytes, size: int) -> None:
    content = between.join(json.dumps(each, indent=1).encode() for each in objects)
    records, refused = cut(content, size)
    assert [json.loads(record) for record in records] == objects
    assert refused == []


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b",", b"1", b" ", b"\n", b'{"a":1}'])).map(b"".join)
)
def test_any_text_ends_in_records_and_refusals_with_no_byte_of_a_value_lost(noise: bytes) -> None:
    content = b"[" + noise
    whole = cut(content, 1 << 20)
    kept = b"".join([*whole[0], *(payload for _, payload in whole[1])])
    drop = str.maketrans("", "", ", \n[]")
    assert sorted(kept.decode().translate(drop)) == sorted(content.decode().translate(drop))
    assert cut(content, 3)[0] == whole[0]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_what_is_not_closed_is_refused_with_all_behind_it(size: int) -> None:
    assert cut(b'[{"a": 1}, {"b": "x}, {"c": 2}]', size)[0] == [b'{"a": 1}']
    rules = {rule for rule, _ in cut(b'[{"a": 1}, {"b": "x}, {"c": 2}]', size)[1]}
    assert rules == {"json.unclosed_value"}
    records, refused = cut(b'[{"a": 1}] {"b": 2}', size)
    assert records == [b'{"a": 1}']
    assert b"".join(payload for _, payload in refused).replace(b" ", b"") == b'{"b":2}'
    assert {rule for rule, _ in refused} == {"json.after_array"}


def test_a_long_element_is_refused_in_pieces_and_one_without_end_takes_the_rest() -> None:
    records, refused = cut(b'["' + b"x" * 50 + b'", 1]', 1 << 20, most=20)
    assert records == [b"1"]
    assert [len(payload) for _, payload in refused] == [20, 20, 12]
    records, refused = cut(b"[1, " + b"{" * 50, 10, most=20)
    assert records == [b"1"]
    assert b"".join(payload for _, payload in refused).strip() == b"{" * 50


def test_a_file_is_known_by_its_content_and_decoded_as_json() -> None:
    content = b'\xef\xbb\xbf[\n  {"a": 1},\n  {"a": 2}\n]\n'
    (batch,) = read_content(io.BytesIO(content), "data.json", ReadOptions())
    assert batch.column("__payload").to_pylist() == [b'{"a": 1}', b'{"a": 2}']
    assert batch.column("__position").to_pylist() == [7, 19]
    assert batch.schema.metadata[RECORD_FORMAT] == b"jsonl"
    (torn,) = read_content(io.BytesIO(b'[{"a'), "data.json", ReadOptions(format="json"))
    assert torn.column(FAILURES).to_pylist()[0][0]["rule"] == "json.unclosed_value"
