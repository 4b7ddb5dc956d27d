"""Tell what a file is from its first bytes, and only then from its name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest import bzip2_stream, gzip_stream, zstd_stream

BOM = b"\xef\xbb\xbf"
"""UTF-8's byte order mark: at the start of a file it is no part of the first record."""

HEAD_BYTES = 64 << 10
"""Bytes of content that are looked at."""

HEAD_LINES = 100

JSON_LINES_SUFFIXES = {".jsonl", ".ndjson"}
CSV_SUFFIXES = {".csv", ".tsv", ".psv"}
COMPRESSION_SUFFIXES = {".gz", ".gzip", ".zst", ".zstd", ".bz2"}

COLUMN_FILES = {b"PAR1": "parquet", b"Obj\x01": "avro", b"ORC": "orc"}
"""How files that hold columns begin."""

OTHERS = {
    re.compile(rb"\xfd7zXZ\0"): "compressed with xz",
    re.compile(rb"\x04\x22\x4d\x18"): "compressed with lz4",
    re.compile(rb"PK\x03\x04"): "a zip archive",
    re.compile(rb"PARE"): "encrypted Parquet",
}
"""Signatures that no text starts with, of what would otherwise end as a heap of dead letters."""

_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml\s|!--|!DOCTYPE\s|[A-Za-z_][\w:.-]*[\s/>])")
_UTF16_XML = (
    "<".encode("utf-16-le"),
    "<".encode("utf-16-be"),
    "\ufeff<".encode("utf-16-le"),
    "\ufeff<".encode("utf-16-be"),
)
_JSON_VALUES = re.compile(rb"\s*(?:\[\s*\{|\{[ \t\r]*\n|\[\s*\]\s*$)")

_QUOTED = re.compile(rb'"[^"]*"')
_NAME = re.compile(r"[^\W\d][\w .:/()%#-]*")


def tell_compression(head: bytes, path: str) -> str:
    """Return "gzip", "zstd", "bzip2" or "none". UsageError for what is known and can't be read.

    >>> tell_compression(bytes.fromhex("1f8b0800"), "events.jsonl")
    'gzip'
    """
    if head.startswith(gzip_stream.MAGIC):
        return "gzip"
    if zstd_stream.is_zstd(head):
        return "zstd"
    if bzip2_stream.is_bzip2(head):
        return "bzip2"
    for signature, what in OTHERS.items():
        if signature.match(head):
            raise UsageError(
                f"--input: '{path}' is {what}, which can't be read: give files plain, or compressed "
                "with gzip, zstd or bzip2 (or leave it out of the pattern)"
            )
    return "none"


def tell_format(head: bytes, path: str, *, delimiter: bytes = b",", header: bool = True) -> str:
    """Return "parquet", "avro", "orc", "xml", "json", "jsonl" or "csv" for the first bytes of a file's content.

    Parquet, Avro and ORC are known by their signature, XML by its declaration or a first tag. An array
    that begins with an object, and an object that is opened on a line of its own, are JSON over any number
    of lines (in files called `.jsonl` or `.ndjson` every line is a record). JSON Lines: the first line that
    isn't blank, or most of the first hundred, start with `{` (or `[`, unless the name says CSV). Else CSV
    if the name says so, or if the content looks like it: the first two lines have equally many delimiters
    and the header, if there should be one, is made of distinct names. What can't be told is JSON Lines,
    since there every line is a record that can be refused, while CSV takes the first for a header.
    `--format csv` says it for a file of one column without suffix; fixed-width lines are always told by it.

    >>> tell_format(b'{"a": 1}', "data.csv"), tell_format(b"a,b\\n1,2", "data.jsonl"), tell_format(b"a b", "data")
    ('jsonl', 'csv', 'jsonl')
    >>> tell_format(b'[{"a": 1}]', "data"), tell_format(b"<orders><order/>", "data"), tell_format(b"PAR1", "data.csv")
    ('json', 'xml', 'parquet')
    """
    for signature, format in COLUMN_FILES.items():
        if head.startswith(signature) and (format != "orc" or not head[3:4].isalnum()):
            return format
    suffix = name_suffix(path)
    if _XML.match(head) or head.startswith(_UTF16_XML):
        return "xml"
    content = head.removeprefix(BOM)
    if suffix not in JSON_LINES_SUFFIXES and _JSON_VALUES.match(content):
        return "json"
    lines = content[:HEAD_BYTES].split(b"\n")
    if len(lines) > 1 and len(head) >= HEAD_BYTES:
        lines.pop()  # cut off
    lines = [line.removesuffix(b"\r") for line in lines if line.strip()][:HEAD_LINES]
    openings = b"{" if suffix in CSV_SUFFIXES else b"{["
    objects = [line.lstrip()[0] in openings for line in lines]
    if lines and (objects[0] or sum(objects) * 2 > len(lines)):
        return "jsonl"
    if suffix in CSV_SUFFIXES or _looks_like_csv(lines, delimiter, header):
        return "csv"
    return "jsonl"


def name_suffix(path: str) -> str:
    """Return the suffix that tells the format, in lower case.

    >>> name_suffix("gs://bucket/Events.CSV.gz")
    '.csv'
    """
    name = PurePosixPath(path.lower())
    return PurePosixPath(name.stem).suffix if name.suffix in COMPRESSION_SUFFIXES else name.suffix


def _looks_like_csv(lines: list[bytes], delimiter: bytes, header: bool) -> bool:
    counts = {_QUOTED.sub(b"", line).count(delimiter) for line in lines[:2]}
    if len(lines) < 2 or len(counts) != 1 or 0 in counts:
        return False
    try:
        names = [name.strip().strip('"').lower() for name in lines[0].decode().split(delimiter.decode())]
    except UnicodeDecodeError:
        return False
    return not header or (len(set(names)) == len(names) and all(_NAME.fullmatch(name) for name in names))
