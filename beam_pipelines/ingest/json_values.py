"""Where the records of a JSON array end, or of JSON objects written one after another over any number of lines.

Brackets outside of strings tell the depth. All of a block is judged at once: a quote is escaped by an odd
number of backslashes before it, a place is inside a string if an odd number of quotes stands before it,
and the depth is a running sum of brackets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_pipelines.ingest.damage import Damage
from beam_pipelines.ingest.records import Places, Records, Refusal, long_pieces, payloads_of, undecoded

UNCLOSED = "json.unclosed_value"
NOT_IN_ARRAY = "json.after_array"

_OPEN = np.zeros(256, np.int8)
_OPEN[list(b"{[")] = 1
_OPEN[list(b"}]")] = -1
_SPACES = b" \t\r\n"


def split_json(
    blocks: Iterator[bytes], *, position: int = 0, max_record_bytes: int = 16 << 20
) -> Iterator[Records | list[Refusal]]:
    """Cut content into the elements of an array or, where it begins with anything else, into values one after another.

    White space around a record, and the commas between, are no part of it. A value that isn't closed
    within `max_record_bytes`, or by the end of the content, is refused with all behind it, in pieces of so
    many bytes: where the next begins can't be told. So is what follows the array's end.

    >>> [found.payloads.to_pylist() for found in split_json(iter([b'[{"a": "]"},', b'2 ]']))]
    [[b'{"a": "]"}'], [b'2']]
    """
    cut = _Cut(position, max_record_bytes)
    try:
        for block in blocks:
            yield from cut.feed(block)
    except Damage as damage:
        yield [Refusal(damage.rule, damage.message, cut.data, cut.position)]
        yield from undecoded(damage, max_record_bytes)
        return
    yield from cut.finish()


class _Cut:
    """Content cut so far: `data` starts at `position`, between two records."""

    def __init__(self, position: int, max_record_bytes: int) -> None:
        self.data = b""
        self.position = position
        self._max = max_record_bytes
        self._is_array: bool | None = None
        self._refused: str | None = None  # the rule by which all that follows is refused

    def feed(self, block: bytes) -> Iterator[Records | list[Refusal]]:
        self.data = self.data + block if self.data else block
        if self._refused:
            yield from self._refuse_all()
            return
        if self._is_array is None:
            self._skip(len(self.data) - len(self.data.lstrip(_SPACES)))
            if not self.data:
                return
            self._is_array = self.data[:1] == b"["
            self._skip(1 if self._is_array else 0)
        ends, starts, closing = _ends(self.data, self._is_array)
        yield from self._cut(starts, ends)
        taken = int(ends[-1]) + (1 if self._is_array else 0) if ends.size else 0
        self._skip(taken)
        if closing is not None:
            self._refused = NOT_IN_ARRAY if closing == b"]" else UNCLOSED
            yield from self._refuse_all()
        elif len(self.data) > self._max:
            self._refused = UNCLOSED
            yield from self._refuse_all()

    def finish(self) -> Iterator[Records | list[Refusal]]:
        if self._refused is None and not self._is_array and self.data.strip(_SPACES):
            # A number or a word has no end of its own.
            yield from self._cut(np.array([0]), np.array([len(self.data)]))
        elif self._refused is None and self._is_array and not self.data.strip(_SPACES):
            self._refused = UNCLOSED
            self.data = b""
            yield [
                Refusal(
                    UNCLOSED,
                    f"the array isn't closed by the end of the file at byte {self.position}",
                    b"",
                    self.position,
                )
            ]
        elif self._refused is None and self.data.strip(_SPACES):
            self._refused = UNCLOSED
            yield from self._refuse_all()
        else:
            yield from self._refuse_all()

    def _skip(self, size: int) -> None:
        self.data = self.data[size:]
        self.position += size

    def _cut(self, starts: Places, ends: Places) -> Iterator[Records | list[Refusal]]:
        if not ends.size:
            return
        octets = np.frombuffer(self.data, np.uint8)
        begins, stops = _trimmed(octets, starts, ends)
        long = stops - begins > self._max
        good = np.flatnonzero((stops > begins) & ~long)
        if good.size:
            yield Records(payloads_of(self.data, begins, stops, good), pa.array(begins[good] + self.position))
        for row in np.flatnonzero(long).tolist():
            yield from long_pieces(self.data[begins[row] : stops[row]], self.position + int(begins[row]), self._max)

    def _refuse_all(self) -> Iterator[list[Refusal]]:
        if not self.data.strip(_SPACES):
            self._skip(len(self.data))
            return
        words = {
            UNCLOSED: "the JSON value at byte {} isn't closed where it should be: this and all behind it is left",
            NOT_IN_ARRAY: "at byte {}: what follows the end of the array",
        }[str(self._refused)]
        for start in range(0, len(self.data), self._max):
            place = self.position + start
            yield [Refusal(str(self._refused), words.format(place), self.data[start : start + self._max], place)]
        self._skip(len(self.data))


def _ends(data: bytes, is_array: bool) -> tuple[Places, Places, bytes | None]:
    """Where records end and start; the bracket that closes more than was opened, which ends the array if it is `]`."""
    octets = np.frombuffer(data, np.uint8)
    turns = _OPEN[octets]
    brackets = np.flatnonzero(turns)
    quotes = _unescaped_quotes(octets)
    outside = np.searchsorted(quotes, brackets) % 2 == 0
    brackets = brackets[outside]
    depth = np.cumsum(turns[brackets], dtype=np.int64)
    if not is_array:
        ends = brackets[depth == 0] + 1
        return ends, np.concatenate(([0], ends[:-1])).astype(np.int64)[: len(ends)], None
    closing = brackets[depth < 0][:1]
    commas = np.flatnonzero(octets == ord(","))
    before = np.searchsorted(brackets, commas)
    top = np.concatenate(([0], depth))[before] == 0
    top &= np.searchsorted(quotes, commas) % 2 == 0
    commas = commas[top]
    bracket = None
    ends = commas
    if closing.size:
        bracket = data[closing[0] : closing[0] + 1]
        ends = commas[commas < closing[0]]
        if bracket == b"]":
            ends = np.append(ends, closing)
    return ends, np.concatenate(([0], ends[:-1] + 1)).astype(np.int64)[: len(ends)], bracket


def _unescaped_quotes(octets: npt.NDArray[np.uint8]) -> Places:
    quotes = np.flatnonzero(octets == ord('"'))
    suspects = np.flatnonzero((quotes > 0) & (octets[quotes - 1] == ord("\\"))) if quotes.size else quotes
    if not suspects.size:
        return quotes
    others = np.flatnonzero(octets != ord("\\"))
    at = quotes[suspects]
    place = np.searchsorted(others, at) - 1
    last = np.where(place >= 0, others[place], -1)
    escaped = (at - 1 - last) % 2 == 1
    return np.delete(quotes, suspects[escaped])


def _trimmed(octets: npt.NDArray[np.uint8], starts: Places, ends: Places) -> tuple[Places, Places]:
    """Without white space at both ends."""
    solid = np.flatnonzero(octets > ord(" "))  # of what is below only white space may stand outside of a value
    first = np.searchsorted(solid, starts)
    last = np.searchsorted(solid, ends) - 1
    some = first <= last
    if not solid.size:
        return starts, starts
    begins = np.where(some, solid[np.minimum(first, len(solid) - 1)], starts)
    stops = np.where(some, solid[last] + 1, starts)
    return begins.astype(np.int64), stops.astype(np.int64)
