"""Where the records of XML stand: elements at a path below the root, as their bytes in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

import pyarrow as pa

from beam_pipelines.decode.secure_xml import MAX_DEPTH, ForbiddenXml, local_name, secure_parser
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.damage import Damage
from beam_pipelines.ingest.records import Records, Refusal, long_pieces, undecoded

MALFORMED = "xml.malformed"
FORBIDDEN = "xml.forbidden"

_START_TAG = re.compile(rb"""<(?:[^"'>]|"[^"]*"|'[^']*')*>""")

FEED_BYTES = 256 << 10
"""Bytes given to the parser at a time; records are handed on as often."""


def check_row_path(path: str | None) -> None:
    """UsageError for what is no path of an element.

    >>> check_row_path("orders//order")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: --xml_row: 'orders//order' is not a path of element names such as orders/order
    """
    if path is not None and not all(
        name.strip() and not set(name) & set("<>&@[]") for name in path.strip("/").split("/")
    ):
        raise UsageError(f"--xml_row: '{path}' is not a path of element names such as orders/order")


def split_xml(
    blocks: Iterator[bytes], row: str | None = None, *, max_record_bytes: int = 16 << 20, encoding: str | None = None
) -> Iterator[Records | list[Refusal]]:
    """Cut a document into the elements at `row`, by default the root's children.

    `row` is a path of names from the root, as `orders/order`; or a name alone, of elements at any depth.
    Prefixes of namespaces don't count. A payload is the element as it stands in the file; `encoding` is
    the content's, if not the one that it declares. Where the document isn't well-formed, or declares
    entities, reading ends: all from the last whole record on is refused, in pieces of `max_record_bytes`.
    So is a record longer than that, after which reading goes on.

    >>> document = b"<orders><order id='1'/><order id='2'/></orders>"
    >>> [found.payloads.to_pylist() for found in split_xml(iter([document]))]
    [[b"<order id='1'/>", b"<order id='2'/>"]]
    """
    cut = _Cut(row, max_record_bytes, encoding)
    try:
        for block in blocks:
            for start in range(0, len(block), FEED_BYTES):
                yield from cut.feed(block[start : start + FEED_BYTES], False)
        yield from cut.feed(b"", True)
    except Damage as damage:
        yield [Refusal(damage.rule, damage.message, cut.left(), cut.position)]
        yield from undecoded(damage, max_record_bytes)


class _Cut:
    """A document read so far; `data` starts at `position`, behind the last record."""

    def __init__(self, row: str | None, max_record_bytes: int, encoding: str | None) -> None:
        names = row.strip("/").split("/") if row else []
        self._any_depth = names[0] if len(names) == 1 else None
        self._path = names if len(names) > 1 else []
        self._max = max_record_bytes
        self._stack: list[str] = []
        self._inside = 0  # depth of the record that is open
        self._start = 0
        self._is_empty = False
        self._spans: list[tuple[int, int]] = []
        self._refused: tuple[str, str] | None = None
        self._told = False
        self.data = b""
        self.position = 0
        self._parser: Any = secure_parser(encoding)
        self._parser.StartElementHandler = self._open
        self._parser.EndElementHandler = self._close

    def left(self) -> bytes:
        """What is held of the file and given to nobody."""
        return self.data[-self._max :]

    def feed(self, block: bytes, final: bool) -> Iterator[Records | list[Refusal]]:
        self.data += block
        if self._refused is None:
            try:
                self._parser.Parse(block, final)
            except (expat.ExpatError, ForbiddenXml) as error:
                rule = FORBIDDEN if isinstance(error, ForbiddenXml) else MALFORMED
                place = self._parser.CurrentByteIndex if rule == FORBIDDEN else self._parser.ErrorByteIndex
                self._refused = rule, f"the XML document can't be read from byte {place} on: {error}"
        yield from self._records()
        if self._refused is not None:
            yield from self._refuse()
        elif self._inside and self.position + len(self.data) - self._start > self._max:
            yield from self._shed()
        elif not self._inside:
            self._drop(self._parser.CurrentByteIndex)  # behind it may be a part of a tag

    def _open(self, name: str, _: dict[str, str]) -> None:
        self._stack.append(local_name(name))
        if len(self._stack) > MAX_DEPTH:
            raise ForbiddenXml(f"elements are more than {MAX_DEPTH} deep")
        if not self._inside and self._is_row():
            self._inside = len(self._stack)
            self._start = self._parser.CurrentByteIndex
            tag = _START_TAG.match(self.data, self._start - self.position)
            self._is_empty = tag is not None and tag[0].endswith(b"/>")

    def _close(self, _: str) -> None:
        if self._inside == len(self._stack):
            self._inside = 0
            end = int(self._parser.CurrentByteIndex)
            if not self._is_empty:  # of an end tag the parser tells where it begins
                end = self.position + self.data.index(b">", max(end - self.position, 0)) + 1
            self._spans.append((self._start, end))
        self._stack.pop()

    def _is_row(self) -> bool:
        if self._any_depth is not None:
            return self._stack[-1] == self._any_depth
        if self._path:
            return self._stack == self._path
        return len(self._stack) == 2

    def _records(self) -> Iterator[Records | list[Refusal]]:
        spans, self._spans = self._spans, []
        payloads, positions = [], []
        for start, end in spans:
            payload = self.data[max(start - self.position, 0) : end - self.position]
            if end - start > self._max:
                yield from long_pieces(payload, max(start, self.position), self._max)
            else:
                payloads.append(payload)
                positions.append(start)
        if payloads:
            yield Records(pa.array(payloads, pa.binary()), pa.array(positions, pa.int64()))
        if spans:
            self._drop(spans[-1][1])

    def _shed(self) -> Iterator[list[Refusal]]:
        """Give up what is held of a record that is too long."""
        begin = max(self._start, self.position)
        self._drop(begin)
        while len(self.data) > self._max:
            yield from long_pieces(self.data[: self._max], self.position, self._max)
            self._drop(self.position + self._max)

    def _drop(self, to: int) -> None:
        self.data = self.data[max(to - self.position, 0) :]
        self.position = max(to, self.position)

    def _refuse(self) -> Iterator[list[Refusal]]:
        rule, message = self._refused or ("", "")
        if not self.data and not self._told and self.position:
            yield [Refusal(rule, message, b"", self.position)]
        self._told = True
        for start in range(0, len(self.data), self._max):
            yield [Refusal(rule, message, self.data[start : start + self._max], self.position + start)]
        self._drop(self.position + len(self.data))
