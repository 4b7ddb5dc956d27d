"""Records that are no JSON object: which rule they break, in words that hold nothing of the record."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import Failed, failed
from beam_pipelines.decode.encoding import not_utf8

MALFORMED = "json.malformed"
EMPTY = "json.empty"
NOT_AN_OBJECT = "json.not_an_object"
MULTIPLE_OBJECTS = "json.multiple_objects"
TOO_DEEP = "json.too_deep"
INVALID_UTF8 = "json.invalid_utf8"

MAX_DEPTH = 512
"""Levels of nesting. Without a bound of ours it would be Python's recursion limit (1000) less the
frames in use, which differ from runner to runner."""

PARSE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bad input."""

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_NOT_THE_TEXT = (_BOM[:1], b" ", b"\t", b"\r", b"\n")
"""How a record begins of which the parser's first complaint may not be the whole story."""
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STEPS = np.zeros(256, np.int8)  # by how much a byte changes the depth
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
_DEPTH_BLOCK = 1 << 20  # bytes looked at together: eight times as much memory
_skip = msgspec.json.Decoder(msgspec.Raw)


class Refused(NamedTuple):
    """Why a record is no JSON object."""

    rule: str
    message: str


def decode_all(
    decode: Callable[[Any], Any], texts: Sequence[Any], blank: Any
) -> tuple[list[Any], list[tuple[int, Refused | None]]]:
    """Decode texts with a decoder of msgspec, which says no by raising, at the cost of a call in C each.

    Returns a value for each text, `blank` where it was refused, and the places of those, with the reason
    if a text isn't JSON; None if it may be, and isn't of the decoder's type.

    >>> values, refused = decode_all(msgspec.json.Decoder(int).decode, [b"1", b"x", b"2.5"], None)
    >>> values, [place for place, reason in refused], refused[0][1].message
    ([1, None, None], [1, 2], 'is not JSON: invalid character (byte 0)')
    """
    values: list[Any] = []
    refused: list[tuple[int, Refused | None]] = []
    rest = iter(texts)
    while True:
        try:
            values.extend(map(decode, rest))  # when it raises, the list has kept what came before
        except PARSE_ERRORS as error:  # noqa: PERF203  entered once for each text that is refused
            refused.append((len(values), _syntax_error(error)))
            values.append(blank)
        else:
            return values, refused


def object_of(
    line: bytes, decoder: msgspec.json.Decoder[dict[str, msgspec.Raw]], known: Refused | None = None
) -> dict[str, msgspec.Raw] | Refused:
    """Return a record's one object, its values as they are written; or why there is none.

    `known` is what `decode_all` found wrong with it.
    """
    if known is not None and line and not line.startswith(_NOT_THE_TEXT):
        return known
    try:
        return decoder.decode(line)
    except PARSE_ERRORS as error:
        if line.startswith(_BOM):
            return object_of(b" " + line.removeprefix(_BOM), decoder)
        return _reason(line, error)


def _reason(line: bytes, error: Exception) -> Refused:
    if isinstance(error, RecursionError):
        return Refused(TOO_DEEP, "nested deeper than the stack allows")
    if not line.strip(_BLANK):
        return Refused(EMPTY, "the record is empty")
    if (malformed := _syntax_error(error)) is not None:
        return malformed
    try:
        values = _skip.decode_lines(line)
    except PARSE_ERRORS as error:
        return Refused(MALFORMED, _said(error))
    if len(values) > 1:
        return Refused(MULTIPLE_OBJECTS, f"{len(values)} JSON values in one record")
    return Refused(NOT_AN_OBJECT, "is JSON, but not an object")


def _syntax_error(error: Exception) -> Refused | None:
    """What msgspec says of a text that isn't JSON; None if it may be JSON of another type, or twice JSON."""
    if type(error) is not msgspec.DecodeError or "trailing" in str(error):
        return None
    return Refused(MALFORMED, _said(error))


def _said(error: Exception) -> str:
    """The parser's reason: a place and a kind, never the text itself."""
    if isinstance(error, UnicodeDecodeError):
        return "is not JSON: a string is not UTF-8"
    reason = str(error).removeprefix("JSON is malformed: ")
    return f"is not JSON: {reason[:1].lower()}{reason[1:]}"


def too_deep(text: bytes) -> bool:
    """Whether brackets are nested deeper than MAX_DEPTH, those in strings aside."""
    if len(text) < 2 * MAX_DEPTH or text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    steps = _STEPS[np.frombuffer(_STRING.sub(b"", text), np.uint8)]
    depth = 0
    for start in range(0, len(steps), _DEPTH_BLOCK):
        depths = depth + np.cumsum(steps[start : start + _DEPTH_BLOCK], dtype=np.int64)
        if depths.max() > MAX_DEPTH:
            return True
        depth = int(depths[-1])
    return False


def unusable_rows(payloads: pa.BinaryArray) -> dict[int, Refused]:
    """Rows that a parser of ours might take, though they are not UTF-8 or nested too deep.

    msgspec doesn't look at the encoding of what it skips, and its depth is bounded by the stack.
    """
    bad_text = Refused(INVALID_UTF8, "is not UTF-8")
    bad_depth = Refused(TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels")
    return dict.fromkeys(deep_rows(payloads), bad_depth) | dict.fromkeys(not_utf8(payloads), bad_text)


def deep_rows(payloads: pa.BinaryArray) -> list[int]:
    """Rows nested too deep; only those long enough to be are looked at."""
    lengths = pc.binary_length(payloads).to_numpy()
    return [int(row) for row in np.flatnonzero(lengths >= 2 * MAX_DEPTH) if too_deep(payloads[int(row)].as_py())]


class Refusals:
    """Collects rows that are refused as a whole."""

    def __init__(self) -> None:
        self._by_rule: defaultdict[str, tuple[list[int], list[str]]] = defaultdict(lambda: ([], []))

    def add(self, row: int, refused: Refused) -> None:
        """Take note of one row."""
        rows, messages = self._by_rule[refused.rule]
        rows.append(row)
        messages.append(refused.message)

    def failures(self) -> list[Failed]:
        """One Failed for each rule."""
        return [
            failed(np.array(rows, np.int64), rule, None, pa.array(messages, pa.string()))
            for rule, (rows, messages) in self._by_rule.items()
        ]
