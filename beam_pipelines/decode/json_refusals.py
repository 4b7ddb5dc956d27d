"""Records that are no JSON object: which rule they break, in words that hold nothing of the record."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

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
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STEPS = np.zeros(256, np.int8)  # by how much a byte changes the depth
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
_DEPTH_BLOCK = 1 << 20  # bytes looked at together: eight times as much memory
_skip = msgspec.json.Decoder(msgspec.Raw)


class Refused(ValueError):  # noqa: N818  it is the record's fault
    """A record that is no JSON object; `args` are the rule and the message."""


def object_of(line: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decode a record's one object, whose values the decoder takes as msgspec.Raw. Raises Refused."""
    try:
        return decoder.decode(line)
    except PARSE_ERRORS as error:
        if line.startswith(_BOM):
            return object_of(b" " + line.removeprefix(_BOM), decoder)
        raise _reason(line, error) from None


def _reason(line: bytes, error: Exception) -> Refused:
    if isinstance(error, RecursionError):
        return Refused(TOO_DEEP, "nested deeper than the stack allows")
    if not line.strip(_BLANK):
        return Refused(EMPTY, "the record is empty")
    if not isinstance(error, msgspec.ValidationError) and "trailing" not in str(error):
        return Refused(MALFORMED, _said(error))
    try:
        values = _skip.decode_lines(line)
    except PARSE_ERRORS as error:
        return Refused(MALFORMED, _said(error))
    if len(values) > 1:
        return Refused(MULTIPLE_OBJECTS, f"{len(values)} JSON values in one record")
    return Refused(NOT_AN_OBJECT, "is JSON, but not an object")


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
        rule, message = refused.args
        rows, messages = self._by_rule[rule]
        rows.append(row)
        messages.append(message)

    def failures(self) -> list[Failed]:
        """One Failed for each rule."""
        return [
            failed(np.array(rows, np.int64), rule, None, pa.array(messages, pa.string()))
            for rule, (rows, messages) in self._by_rule.items()
        ]
