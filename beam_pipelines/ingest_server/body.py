"""A request's body → the records in it. Pure: bytes in, bytes out.

>>> records_in(b'[{"n": 1}, {"n": 2}]', "application/json", most=10).payloads
[b'{"n": 1}', b'{"n": 2}']
>>> records_in(b'{"n": 1}\\n\\n{"n": 2}\\n', "application/x-ndjson", most=10)
Split(payloads=[b'{"n": 1}', b'{"n": 2}'], lines=[1, 3])
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import msgspec

from beam_pipelines.ingest_server.refusal import RefusalError

ONE_VALUE = ("application/json",)
LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines")
TYPES = (*ONE_VALUE, *LINES)
"""Types of bodies. A page of elsewhere can't make a browser send one of them without asking first."""

_GZIP = 31  # zlib's word for a gzip header and the largest window
_BOM = b"\xef\xbb\xbf"
_array = msgspec.json.Decoder(list[msgspec.Raw])


class Split(NamedTuple):
    """Records as they were written, and the lines (from 1) that they were on, if they were lines."""

    payloads: list[bytes]
    lines: list[int] | None


class Body:
    """A body as it comes in, unpacked at once, so that never more than `most` bytes are held of it."""

    def __init__(self, encoding: str, most: int) -> None:
        if encoding.strip().lower() not in ("", "identity", "gzip", "x-gzip"):
            raise RefusalError(
                415, f"Content-Encoding '{encoding}' is not known: gzip, or none", headers={"Accept-Encoding": "gzip"}
            )
        self._unzip = zlib.decompressobj(_GZIP) if "gzip" in encoding.lower() else None
        self._most = most
        self._began = False
        self._held = bytearray()

    def add(self, chunk: bytes) -> int:
        """Take what has come; returns how many bytes of the body that makes. RefusalError 413, 400."""
        before = len(self._held)
        if self._unzip is None:
            self._held += chunk
            self._check_length()
        else:
            self._unpack(chunk)
        return len(self._held) - before

    def whole(self) -> bytes:
        """All of it. RefusalError 400 if it ends too early."""
        if self._unzip is not None and (self._began or not self._held) and not self._unzip.eof:
            raise RefusalError(400, "the body ends before its gzip stream does")
        return bytes(self._held)

    def _unpack(self, chunk: bytes) -> None:
        assert self._unzip is not None
        while chunk:
            if self._unzip.eof:  # a gzip file may consist of several
                self._unzip = zlib.decompressobj(_GZIP)
            self._began = True
            try:
                self._held += self._unzip.decompress(chunk, self._most + 1 - len(self._held))
            except zlib.error:
                raise RefusalError(400, "the body is not gzip, as its Content-Encoding says") from None
            self._check_length()
            chunk = self._unzip.unconsumed_tail or self._unzip.unused_data

    def _check_length(self) -> None:
        if len(self._held) > self._most:
            raise too_long(self._most)


def too_long(most: int) -> RefusalError:
    """The answer to a body that is too long."""
    return RefusalError(413, f"the body is longer than {most} bytes: send it in parts")


def media_type(content_type: str) -> str:
    """The type without its parameters. RefusalError 415 for one that isn't known, or isn't UTF-8.

    >>> media_type("application/json; charset=UTF-8")
    'application/json'
    """
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind not in TYPES:
        said = f"Content-Type '{kind}' is not known" if kind else "there is no Content-Type"
        raise RefusalError(
            415, f"{said}: application/json for an object or an array, application/x-ndjson for JSON Lines"
        )
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip(' "').lower() not in ("utf-8", "utf8", "us-ascii"):
            raise RefusalError(415, f"charset '{value.strip()}' is not known: JSON is UTF-8")
    return kind


def records_in(body: bytes, kind: str, most: int) -> Split:
    """Split a body of a media type into records: a line each, an array's items, or the one value that it is.

    RefusalError 400 for what is not UTF-8, is no JSON array where it begins as one, or holds no record; 413 for more
    than `most`. Whether each record is a JSON object isn't looked at here.
    """
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        raise RefusalError(400, f"the body is not UTF-8 (byte {wrong.start})") from None
    body = body.removeprefix(_BOM)
    split = _lines(body) if kind in LINES else _values(body)
    if not split.payloads:
        raise RefusalError(400, "the body holds no record")
    if len(split.payloads) > most:
        raise RefusalError(413, f"the body holds {len(split.payloads)} records: at most {most} are taken at once")
    return split


def _lines(body: bytes) -> Split:
    lines = [line.strip(b" \t\r") for line in body.split(b"\n")]
    places = [place for place, line in enumerate(lines, 1) if line]
    return Split([lines[place - 1] for place in places], places)


def _values(body: bytes) -> Split:
    body = body.strip(b" \t\r\n")
    if not body.startswith(b"["):
        return Split([body] if body else [], None)
    try:
        return Split([bytes(each) for each in _array.decode(body)], None)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise RefusalError(400, f"the body is not JSON: {str(wrong).removeprefix('JSON is malformed: ')}") from None
