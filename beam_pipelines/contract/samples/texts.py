"""Texts that match a regular expression, made by walking what Python's own parser reads of it."""

from __future__ import annotations

import importlib
import random
import re
import string
import warnings
from collections.abc import Sequence
from typing import Any

from beam_pipelines.contract import patterns

# What the parser makes of a pattern is not documented, and has been the same since Python 2.
parser: Any = importlib.import_module("re._parser")
words: Any = importlib.import_module("re._constants")

_ANY = string.ascii_letters + string.digits
_CATEGORIES: dict[Any, str] = {
    words.CATEGORY_DIGIT: string.digits,
    words.CATEGORY_WORD: _ANY + "_",
    words.CATEGORY_SPACE: " ",
    words.CATEGORY_NOT_DIGIT: string.ascii_letters,
    words.CATEGORY_NOT_WORD: " -.",
    words.CATEGORY_NOT_SPACE: _ANY,
}
_MORE = 4  # repeats beyond the least, where a pattern sets no end
_TRIES = 200


def matching_text(pattern: str, low: int, high: int | None, rng: random.Random) -> str | None:
    """Return a text in which the pattern is found, of `low` to `high` characters; None when none is come by.

    >>> matching_text("^ORD-[0-9]{4}$", 0, None, random.Random(1))
    'ORD-9141'
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parser.parse(pattern)
    except (re.error, OverflowError, RecursionError):
        return None
    for _ in range(_TRIES):
        text = _text(tree, rng)
        short = low - len(text)
        text += "".join(rng.choices(_ANY, k=short)) if short > 0 else ""
        if (high is None or len(text) <= high) and patterns.matching(pattern, [text])[0]:
            return text
    return None


def _text(tree: Sequence[Any], rng: random.Random) -> str:
    return "".join(_part(kind, argument, rng) for kind, argument in tree)


def _part(kind: Any, argument: Any, rng: random.Random) -> str:
    if kind is words.LITERAL:
        return chr(argument)
    if kind is words.NOT_LITERAL:
        return rng.choice([char for char in _ANY if ord(char) != argument])
    if kind is words.ANY:
        return rng.choice(_ANY)
    if kind is words.IN:
        return rng.choice(_members(argument) or "?")
    if kind is words.BRANCH:
        return _text(rng.choice(argument[1]), rng)
    if kind is words.SUBPATTERN:
        return _text(argument[-1], rng)
    if kind in (words.MAX_REPEAT, words.MIN_REPEAT, words.POSSESSIVE_REPEAT):
        least, most, inner = argument
        end = least + _MORE if most is words.MAXREPEAT else most
        return "".join(_text(inner, rng) for _ in range(rng.randint(least, min(end, least + _MORE))))
    return ""  # anchors, and what is no text


def _members(items: Sequence[Any]) -> str:
    """The characters of a class, as far as they are printable ones of ASCII or named by it."""
    found: set[str] = set()
    negated = False
    for kind, argument in items:
        if kind is words.NEGATE:
            negated = True
        elif kind is words.LITERAL:
            found.add(chr(argument))
        elif kind is words.RANGE:
            found.update(map(chr, range(argument[0], min(argument[1], argument[0] + 200) + 1)))
        elif kind is words.CATEGORY:
            found.update(_CATEGORIES.get(argument, ""))
    return "".join(sorted(set(_ANY + " -_") - found if negated else found))
