"""Patterns of the contract (ECMA-262) as the regular expressions that Arrow runs (RE2).

The two differ in a few escapes and in which characters `.` and `\\s` take in. Lookaround and
back-references have no counterpart: RE2 (https://github.com/google/re2/wiki/Syntax) matches in linear
time, whatever the text, and they would end that.
"""

from __future__ import annotations

import array
import functools
import itertools
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_LINE_ENDS = r"\n\r\x{2028}\x{2029}"
_SPACE = r"\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}"
_NO_SPACE = (
    r"\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}"
    r"\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}"
)
_TOKEN = re.compile(
    r"""
    \\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})
    | \\u\{(?P<braced>[0-9a-fA-F]+)\} | \\u(?P<unit>[0-9a-fA-F]{4})
    | \\c(?P<control>[A-Za-z])
    | (?P<look>\(\?<?[=!]) | (?P<back>\\[1-9]|\\k<)
    | \\(?P<escaped>.)
    | (?P<any>\[\^\]) | (?P<nothing>\[\])
    | (?P<plain>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NOT_LINEAR = {"look": "looks ahead or back", "back": "refers back to a group"}


@functools.lru_cache(maxsize=4096)
def to_re2(pattern: str) -> str:
    r"""Return the RE2 pattern that means the same; ValueError says why there is none.

    >>> to_re2(r"^ACC\d{8}$")
    '^ACC\\d{8}$'
    >>> to_re2("caf\\u00e9")
    'caf\\x{00e9}'
    >>> to_re2("(?=a)b")
    Traceback (most recent call last):
        ...
    ValueError: pattern '(?=a)b' looks ahead or back, which can't be done in linear time
    """
    translated = _translate(pattern)
    try:
        pc.match_substring_regex(_array([""]), translated)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise ValueError(f"pattern '{pattern}' is no regular expression that Arrow (RE2) takes: {reason}") from error
    return translated


def matching(pattern: str, texts: Sequence[str]) -> list[bool]:
    """Tell of each text whether the pattern is found in it. For the few that a contract states.

    >>> matching("^A", ["Apple", "Pear"])
    [True, False]
    """
    found: list[bool] = pc.match_substring_regex(_array(texts), to_re2(pattern)).to_pylist()
    return found


def _array(texts: Sequence[str]) -> pa.StringArray:
    """An Arrow array from its buffers: `pa.array` would import pandas, which takes 0.8 s."""
    data = [text.encode() for text in texts]
    offsets = array.array("i", itertools.accumulate(map(len, data), initial=0))
    return pa.StringArray.from_buffers(len(data), pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(data)))


def _translate(pattern: str) -> str:
    out: list[str] = []
    in_class = False
    place = 0
    while place < len(pattern):
        match = _TOKEN.match(pattern, place)
        if match is None:  # a backslash at the end: RE2 names it
            return pattern
        text, kind = match[0], match.lastgroup or ""
        if kind in _NOT_LINEAR and not in_class:
            raise ValueError(f"pattern '{pattern}' {_NOT_LINEAR[kind]}, which can't be done in linear time")
        if in_class and kind in ("any", "nothing", "look"):
            text, kind = pattern[place], "plain"
        place += len(text)
        out.append(_piece(match, kind, text, in_class))
        if kind == "plain" and text in "[]":
            in_class = text == "[" or (in_class and text != "]")
    return "".join(out)


def _piece(match: re.Match[str], kind: str, text: str, in_class: bool) -> str:
    match kind:
        case "low":
            point = 0x10000 + ((int(match["high"], 16) - 0xD800) << 10) + int(match["low"], 16) - 0xDC00
            return f"\\x{{{point:x}}}"
        case "braced" | "unit":
            return f"\\x{{{match[kind]}}}"
        case "control":
            return f"\\x{{{ord(match['control']) % 32:x}}}"
        case "any":
            return "(?s:.)"
        case "nothing":
            return r"[^\x{0}-\x{10ffff}]"
        case "escaped":
            return _escape(text, in_class)
        case _:
            if text == "[" and in_class:
                return r"\["
            return f"[^{_LINE_ENDS}]" if text == "." and not in_class else text


def _escape(text: str, in_class: bool) -> str:
    if text in (r"\s", r"\S"):
        spaces = _SPACE if text == r"\s" else _NO_SPACE
        return spaces if in_class else f"[{spaces}]"
    if text == r"\b" and in_class:
        return r"\x{8}"
    return text
