"""Cut content into records: where each ends, and its bytes as an Arrow column.

A record ends at "\\n" or "\\r\\n", which are no part of it. A lone "\\r" (Mac OS before 2001) ends
nothing. The last record needs no end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_pipelines.ingest.damage import UNDECODABLE, Damage
from beam_pipelines.ingest.stored import pieces

TOO_LONG = "file.record_too_long"
UNCLOSED_QUOTE = "csv.unclosed_quote"

Places = npt.NDArray[np.int64]

_NEWLINE, _RETURN = b"\n"[0], b"\r"[0]

_BLANK = np.zeros(256, np.bool_)
_BLANK[list(b" \t\r\n")] = True

_BIT = np.zeros(256, np.int64)
_BIT[[1 << bit for bit in range(8)]] = range(8)


class Records(NamedTuple):
    """Records one after another: binary payloads, and the int64 position of each in the content."""

    payloads: pa.Array
    positions: pa.Array


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Bytes that can't be read as a record, and why."""

    rule: str
    message: str
    payload: bytes
    position: int


class Ends(NamedTuple):
    """Places of the newlines that end records (the data's length for an end of file that does).

    `unclosed` are those that end the first line of a record whose quote never closes.
    """

    places: Places
    unclosed: Places


FindEnds = Callable[[bytes, bool], Ends]
"""Finds the ends in data that starts with a record; the flag says that no data follows."""


def places_of(byte: int, data: npt.NDArray[np.uint8]) -> Places:
    """Return where a byte stands.

    A set bit in packed bytes is found faster than the byte, unless two stand within eight.

    >>> places_of(10, np.frombuffer(b"ab\\nc\\n", np.uint8)).tolist()
    [2, 4]
    """
    found = data == byte
    packed = np.packbits(found, bitorder="little")
    hit = np.flatnonzero(packed != 0)
    bits = packed[hit]
    if (bits & (bits - 1)).any():
        return np.flatnonzero(found)
    return hit * 8 + _BIT[bits]


def line_ends(data: bytes, final: bool) -> Ends:
    """Find the ends of lines: a `FindEnds` for JSON Lines.

    >>> line_ends(b"a\\nb", False).places.tolist(), line_ends(b"a\\nb", True).places.tolist()
    ([1], [1, 3])
    """
    places = places_of(_NEWLINE, np.frombuffer(data, np.uint8))
    if final and not data.endswith(b"\n"):
        places = np.append(places, len(data))
    return Ends(places, np.empty(0, np.int64))


def split_records(
    blocks: Iterator[bytes],
    find_ends: FindEnds,
    *,
    position: int = 0,
    stop: int | None = None,
    max_record_bytes: int = 16 << 20,
    skip_blank: bool = True,
) -> Iterator[Records | list[Refusal]]:
    """Cut blocks of content, which start with a record at `position`, into records that start before `stop`.

    Lines of nothing but white space aren't records (with `skip_blank=False` only empty ones aren't).
    A line of more than `max_record_bytes` is refused, whatever it holds, in pieces of so many bytes;
    it is never held as a whole. Where the blocks end in Damage, the record that it cut is refused, and
    then what the Damage has left, in pieces too.
    """
    data = b""
    in_long_line = False
    try:
        for block in blocks:
            data = data + block if data else block
            if in_long_line:
                end = data.find(b"\n")
                if end >= 0:
                    content = data[:end].removesuffix(b"\r")
                    yield from long_pieces(content, position, max_record_bytes)
                    position, data, in_long_line = position + end + 1, data[end + 1 :], False
            if not in_long_line:
                ends = find_ends(data, False)
                yield from _cut(data, ends, position, stop, max_record_bytes, skip_blank)
                if ends.places.size:
                    taken = int(ends.places[-1]) + 1
                    position, data = position + taken, data[taken:]
            if stop is not None and position >= stop and not in_long_line:
                return
            # With two bytes more than a record may have, it is too long even if "\r" is the last.
            while len(data) > max_record_bytes + 1:
                in_long_line = True
                yield from long_pieces(data[:max_record_bytes], position, max_record_bytes)
                position, data = position + max_record_bytes, data[max_record_bytes:]
    except Damage as damage:
        yield [Refusal(damage.rule, damage.message, data, position)]
        yield from undecoded(damage, max_record_bytes)
        return
    if in_long_line:
        yield from long_pieces(data, position, max_record_bytes)
    elif data:
        yield from _cut(data, find_ends(data, True), position, stop, max_record_bytes, skip_blank)


def _cut(
    data: bytes, ends: Ends, position: int, stop: int | None, max_record_bytes: int, skip_blank: bool
) -> Iterator[Records | list[Refusal]]:
    """Cut data at its ends; refusals before the first record come before it, all others after."""
    places = ends.places
    if stop is not None and position >= stop:
        return
    if stop is not None:
        places = places[: 1 + int(np.searchsorted(places, stop - position - 1))]
    if not places.size:
        return
    octets = np.frombuffer(data, np.uint8)
    starts = np.concatenate(([0], places[:-1] + 1))
    stops = places.copy()
    # The byte before a newline exists but for an empty first line, which is told by its length.
    stops -= (octets[places - 1] == _RETURN) & (places > starts) & (places < len(data))

    bad = stops - starts > max_record_bytes
    if ends.unclosed.size:
        bad |= np.isin(places, ends.unclosed)
    good = (stops > starts) & ~bad
    if skip_blank:
        good &= ~_blank(data, octets, starts, stops)
    refused = [
        refusal
        for start, end in zip(starts[bad].tolist(), stops[bad].tolist(), strict=True)
        for refusal in _refuse(data[start:end], position + start, max_record_bytes)
    ]
    rows = np.flatnonzero(good)
    first = position + int(starts[rows[0]]) if rows.size else 0
    early = [refusal for refusal in refused if refusal.position < first]
    if early:
        yield early
    if rows.size:
        yield Records(payloads_of(data, starts, stops, rows), pa.array(starts[rows] + position))
    if len(refused) > len(early):
        yield refused[len(early) :]


def payloads_of(data: bytes, starts: Places, stops: Places, rows: Places) -> pa.Array:
    """Make a column of data[start:stop]; the gaps between are elements too, which are not taken."""
    bounds = np.empty(2 * len(starts) + 1, np.int32)
    bounds[0:-1:2] = starts
    bounds[1::2] = stops
    bounds[-1] = stops[-1]
    both = pa.BinaryArray.from_buffers(pa.binary(), 2 * len(starts), [None, pa.py_buffer(bounds), pa.py_buffer(data)])
    return both.take(pa.array((2 * rows).astype(np.int32)))


def _blank(data: bytes, octets: npt.NDArray[np.uint8], starts: Places, stops: Places) -> npt.NDArray[np.bool_]:
    """Tell which lines are white space; only those with some at both ends are looked through."""
    blank = _BLANK[octets[np.minimum(starts, len(data) - 1)]]
    if blank.any():
        blank &= _BLANK[octets[stops - 1]]
        for row in np.flatnonzero(blank).tolist():
            blank[row] = not data[starts[row] : stops[row]].strip(b" \t\r")
    return blank


def _refuse(line: bytes, position: int, max_record_bytes: int) -> Iterator[Refusal]:
    if len(line) > max_record_bytes:
        for refused in long_pieces(line, position, max_record_bytes):
            yield from refused
    else:
        message = f"the quote of a field in the record at byte {position} isn't closed within {max_record_bytes} bytes"
        yield Refusal(
            UNCLOSED_QUOTE, f"{message} or before the file's end; reading goes on at the next line", line, position
        )


def long_pieces(line: bytes, position: int, size: int) -> Iterator[list[Refusal]]:
    """Refuse a record that is too long, in pieces."""
    for start in range(0, len(line), size):
        message = f"a piece, from byte {position + start} on, of a line longer than {size} bytes"
        yield [Refusal(TOO_LONG, message, line[start : start + size], position + start)]


def undecoded(damage: Damage, size: int) -> Iterator[list[Refusal]]:
    """Refuse stored bytes that gave no content. Their positions are those in the file as stored."""
    offset = damage.offset
    try:
        for piece in pieces(damage.rest, size):
            yield [
                Refusal(UNDECODABLE, f"stored bytes {offset} to {offset + len(piece)}: {damage.message}", piece, offset)
            ]
            offset += len(piece)
    except Damage as further:
        yield [Refusal(further.rule, further.message, b"", further.offset)]
