from __future__ import annotations

import bz2
import gzip

import pytest
import zstandard

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.sniff import tell_compression, tell_format


@pytest.mark.parametrize(
    ("content", "path", "format"),
    [
        (b'{"a": 1}\n', "events.jsonl", "jsonl"),
        (b'{"a": 1}\n', "wrong_suffix.csv", "jsonl"),
        (b'\xef\xbb\xbf\n  \r\n {"a": 1}', "no_suffix", "jsonl"),
        (b"[1, 2]\n[3, 4]\n", "arrays", "jsonl"),
        (b"[id],[name]\n1,a\n", "sql_server.csv", "csv"),
        (b"a,b\n1,2\n", "wrong_suffix.jsonl", "csv"),
        (b'"a b","c"\n"1,2","3"\n', "no_suffix", "csv"),
        (b"a\n1\n", "one_column.csv.gz", "csv"),
        (b"", "empty.csv", "csv"),
        (b"", "empty", "jsonl"),
        # The first line of JSON Lines may be broken: it must not become a header.
        (b'broken, "line\n{"a": 1}\n{"a": 2}\n', "events.jsonl", "jsonl"),
        (b'broken, "line\n{"a": 1}\n{"a": 2}\n', "events.csv", "jsonl"),
        (b'\xef\xbb\xbf [\n {"a": 1},', "array.csv", "json"),
        (b'[{"a": 1}]', "array", "json"),
        (b'[{"a": 1}]\n[]', "lines.ndjson", "jsonl"),
        (b'{\n "a": 1\n}', "pretty.json", "json"),
        (b'{"a": 1,\n', "broken.json", "jsonl"),
        (b"[]\n", "nothing.json", "json"),
        (b"<?xml version='1.0'?><a/>", "data.csv", "xml"),
        (b"\xef\xbb\xbf\n<ns:orders xmlns:ns='x'>", "data", "xml"),
        ("<a>".encode("utf-16"), "data", "xml"),
        (b"<3 this\n", "letter", "jsonl"),
        (b"PAR1\x15\x04", "data.csv", "parquet"),
        (b"Obj\x01\x04", "data", "avro"),
        (b"ORC\n\x14", "data", "orc"),
        (b"ORCA,B\n1,2\n", "whales", "csv"),
        # What can't be told swallows nothing.
        (b"a\n1\n", "one_column.txt", "jsonl"),
        (b"Hello, world", "letter.txt", "jsonl"),
        (b"1,2\n3,4\n", "no_header", "jsonl"),
        (b"a,a\n3,4\n", "same_names", "jsonl"),
        (b"a,b\n3\n", "ragged", "jsonl"),
        (b"\xff,b\n3,4\n", "not_utf8", "jsonl"),
    ],
)
def test_content_tells_the_format_and_the_name_helps(content: bytes, path: str, format: str) -> None:
    assert tell_format(content, path) == format


def test_a_file_without_header_may_start_with_numbers() -> None:
    assert tell_format(b"1;2\n3;4\n", "data", delimiter=b";", header=False) == "csv"


@pytest.mark.parametrize(
    ("head", "compression"),
    [
        (gzip.compress(b"", mtime=0), "gzip"),
        (zstandard.compress(b""), "zstd"),
        (b"\x50\x2a\x4d\x18\x00\x00\x00\x00", "zstd"),
        (b"BZh91AY&SY", "bzip2"),
        (bz2.compress(b""), "bzip2"),
        (b"", "none"),
        (b"\x1f\x8b", "none"),
        (b"BZh9 is text", "none"),
    ],
)
def test_content_tells_the_compression(head: bytes, compression: str) -> None:
    assert tell_compression(head, "misleading.bz2") == compression


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\xfd7zXZ\x00\x00", "xz"),
        (b"PK\x03\x04", "zip"),
        (b"PARE", "encrypted Parquet"),
    ],
)
def test_a_known_format_that_cannot_be_read_is_an_error_and_not_a_heap_of_letters(head: bytes, what: str) -> None:
    with pytest.raises(UsageError, match=rf"--input: 'x\.gz' is .*{what}.*gzip, zstd or bzip2"):
        tell_compression(head, "x.gz")
