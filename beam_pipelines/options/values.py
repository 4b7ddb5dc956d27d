"""Values from text: read as an option's type, with what is allowed told when they aren't."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from beam_pipelines.errors import did_you_mean

_SHOWN_CHARS = 200  # of a wrong value: enough to recognise it, short enough to leave the message readable
WHOLE = "[+-]?[0-9]+"
NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
LOGICAL = "[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|1|0"
_TRUE = ("true", "yes", "1")
_FALSE = ("false", "no", "0")
_OPENING, _CLOSING = "([{", ")]}"


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a value has to be; see `OptionSpec`."""

    type: type
    many: bool
    choices: tuple[str, ...]
    pattern: str | None
    metavar: str | None
    check: Callable[[Any], None] | None


def as_text(value: Any) -> str:
    r"""Write a value as it is written on a command line; `parsed` reads it back.

    >>> as_text(True), as_text(("a", "b,c"))
    ('true', 'a,b\\,c')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(as_text(each).replace(",", r"\,") for each in value)
    return str(value)


def split(text: str) -> list[str]:
    r"""Split at commas, but not inside brackets or quotes; `\,` is a comma that doesn't split.

    >>> split("country, coalesce(a, b), 'x,y'")
    ['country', 'coalesce(a, b)', "'x,y'"]
    """
    parts, current, depth, quote, place = [], "", 0, "", 0
    while place < len(text):
        char, place = text[place], place + 1
        if quote:
            quote = "" if char == quote else quote
        elif char == "\\" and text[place : place + 1] == ",":
            char, place = ",", place + 1
        elif char in "'\"`" and char in text[place:]:  # an apostrophe without a second one is a letter
            quote = char
        elif char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth = max(0, depth - 1)
        elif char == "," and depth == 0:
            parts.append(current.strip())
            current = ""
            continue
        current += char
    parts.append(current.strip())
    return [part for part in parts if part]


def parsed(rules: Rules, value: Any) -> Any:
    """Read a value, or several. ValueError when it is not what the rules say."""
    if rules.many:
        given = [value] if isinstance(value, str) else value
        items = [item for each in given for item in (split(each) if isinstance(each, str) else [each])]
        parsed: Any = tuple(_one(rules, item) for item in items)
        if not parsed:
            raise ValueError("holds nothing but commas")
    else:
        parsed = _one(rules, value)
    if rules.check is not None:
        try:
            rules.check(parsed)
        except ValueError as wrong:
            raise ValueError(f"{_shown(value)}: {wrong}") from wrong
    return parsed


def _one(rules: Rules, value: Any) -> Any:
    """One value as the option's type, or a ValueError that says what is allowed."""
    parsed = _typed(rules.type, value)
    if rules.choices and parsed not in rules.choices:
        raise ValueError(
            f"{_shown(value)} is not one of {', '.join(rules.choices)}.{_nearest(str(parsed), rules.choices)}"
        )
    if rules.pattern is not None and re.fullmatch(rules.pattern, str(parsed)) is None:
        form = f" ({rules.metavar})" if rules.metavar else ""
        raise ValueError(f"{_shown(value)} doesn't have the form {rules.pattern}{form}")
    return parsed


def _nearest(word: str, choices: Sequence[str]) -> str:
    hint = did_you_mean(word, choices)
    return hint if hint.startswith(" Did") else ""


def _typed(kind: type, value: Any) -> Any:
    if not isinstance(value, str):
        # From Python or a configuration file. An int will do for a float; a bool is never a number.
        if type(value) is int and kind is float:
            return float(value)
        if type(value) is kind:
            return value
        raise ValueError(f"{_shown(value)} is not {_NAMES[kind]}")
    if kind is str:
        return value
    if kind is bool:
        if value.lower() in (*_TRUE, *_FALSE):
            return value.lower() in _TRUE
    elif kind is int:
        if re.fullmatch(WHOLE, value):
            return int(value)
    elif re.fullmatch(NUMBER, value) and math.isfinite(number := float(value)):
        return number
    raise ValueError(f"{_shown(value)} is not {_NAMES[kind]}")


_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _shown(value: Any) -> str:
    text = without_passwords(str(value))
    return f"'{text}'" if len(text) <= _SHOWN_CHARS else f"'{text[:_SHOWN_CHARS]}…'"


def without_passwords(text: str) -> str:
    """Hide the passwords of URIs in a text that is going to be printed.

    >>> without_passwords("postgresql://me:secret@db/shop")
    'postgresql://me:***@db/shop'
    """
    return re.sub(r"""(://[^\s/@:"']*:)[^\s/@"']+@""", r"\1***@", text)
