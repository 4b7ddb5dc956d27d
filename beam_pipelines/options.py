"""One definition of each option. argparse, `describe`, docs and template metadata derive from it.

A pipeline's options are a frozen dataclass whose fields are made by `option(...)`:

>>> @dataclasses.dataclass(frozen=True)
... class Options:
...     input: str = option("Files to read.")
...     limit: int | None = option("Stop after so many rows.", default=None)
>>> parse(Options, {"input": "a.csv", "limit": "10"})
Options(input='a.csv', limit=10)
>>> parse(Options, {"limit": "ten"})
Traceback (most recent call last):
beam_pipelines.errors.UsageError: 2 options are wrong:
  --input is required: Files to read.
  --limit: 'ten' is not a whole number
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from beam_pipelines.errors import UsageError, did_you_mean

_T = TypeVar("_T")

_SHOWN_CHARS = 200  # of a wrong value: enough to recognise it, short enough to leave the message readable
_TRUE = ("true", "yes", "1")
_FALSE = ("false", "no", "0")
_OPENING, _CLOSING = "([{", ")]}"


@dataclasses.dataclass(frozen=True)
class OptionSpec:
    """What is known of one option.

    `type` is str, int, float or bool. `many` means a tuple of them: the option may be repeated and
    each value may hold several, separated by commas. `default` is None when it is required.
    """

    name: str
    type: type
    many: bool
    required: bool
    default: Any
    help: str
    group: str
    metavar: str | None
    choices: tuple[str, ...]
    pattern: str | None
    param_type: str
    check: Callable[[Any], None] | None

    @property
    def flag(self) -> str:
        """The option as it is written on a command line."""
        return f"--{self.name}"


def option(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    group: str = "pipeline",
    metavar: str | None = None,
    pattern: str | None = None,
    param_type: str = "TEXT",
    check: Callable[[Any], None] | None = None,
) -> Any:
    """Define an option as a dataclass field, typed `str`, `int`, `float`, `bool`, `Literal["a", "b"]`, `X | None`
    or `tuple[X, ...]`.

    Without a default it is required. The words of a Literal, and `pattern` (a regular expression for
    the whole value), hold for each of several values. `check` is called with the parsed value and raises
    ValueError, whose text says what is allowed. `param_type` is the flex template's parameter type,
    one of `google.cloud.dataflow.ParameterType`.
    """
    facts = {
        "help": help,
        "group": group,
        "metavar": metavar,
        "pattern": pattern,
        "param_type": param_type,
        "check": check,
    }
    return dataclasses.field(default=default, metadata=facts, kw_only=True)


def specs(cls: type) -> list[OptionSpec]:
    """Return the options of a dataclass, in the order they are written.

    Raises TypeError for a field that `option(...)` didn't make, or of a type no option can have.
    """
    hints = typing.get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        if "param_type" not in field.metadata:
            raise TypeError(f"{cls.__name__}.{field.name} is not made by option(...)")
        kind, many, choices = _kind(hints[field.name], f"{cls.__name__}.{field.name}")
        required = field.default is dataclasses.MISSING
        default = None if required else field.default
        found.append(
            OptionSpec(
                name=field.name,
                type=kind,
                many=many,
                choices=choices,
                required=required,
                default=default,
                **field.metadata,
            )
        )
    return found


def parse(cls: type[_T], values: Mapping[str, Any], *, source: str = "this pipeline") -> _T:
    """Make an instance of an options class from text (or from values that already have the type).

    An empty text counts as not given, since that is how templates pass a parameter left blank.
    Raises one UsageError that tells everything that is wrong. `source` is what unknown names are
    said to be no option of.
    """
    parsed, problems = examine(cls, values, source=source)
    refuse(problems)
    assert parsed is not None
    return parsed


def examine(
    cls: type[_T], values: Mapping[str, Any], *, source: str = "this pipeline", mark: str = "--"
) -> tuple[_T | None, list[str]]:
    """Like `parse`, but return the problems, for a caller who has more of them to tell.

    `mark` is what stands before a name where options are written: dashes, or the `?` of a URI.
    """
    known = {spec.name: spec for spec in specs(cls)}
    flags = [f"{mark}{name}" for name in known]
    problems = [unknown(f"{mark}{name}", flags, source) for name in values if name not in known]
    parsed: dict[str, Any] = {}
    for spec in known.values():
        value = values.get(spec.name)
        if value is None or value in ("", [], ()):
            if spec.required:
                problems.append(f"{mark}{spec.name} is required: {spec.help}")
            continue
        try:
            parsed[spec.name] = _parsed(spec, value)
        except ValueError as wrong:
            problems.append(f"{mark}{spec.name}: {wrong}")
    return (None if problems else cls(**parsed)), problems


def refuse(problems: Sequence[str]) -> None:
    """Raise one UsageError for all of the problems, or nothing if there are none."""
    if len(problems) == 1:
        raise UsageError(problems[0])
    if problems:
        raise UsageError("\n".join([f"{len(problems)} options are wrong:", *(f"  {line}" for line in problems)]))


def unknown(flag: str, known: Iterable[str], source: str) -> str:
    """Say that an option doesn't exist, and which one is nearest. Its value is never shown: it may be a secret.

    >>> unknown("--imput", ["--input", "--output"], "event_analytics")
    "--imput is not an option of event_analytics. Did you mean '--input'?"
    """
    flags = sorted(known)
    near = nearest_flag(flag, flags)
    return f"{flag} is not an option of {source}." + (
        f" Did you mean '{near}'?" if near else f" There is: {', '.join(flags)}."
    )


def nearest_flag(flag: str, known: Iterable[str]) -> str | None:
    """The flag most like this one, if any is. Only names count: the dashes would make all of them alike."""
    bare = {each.lstrip("-?"): each for each in known}
    near = difflib.get_close_matches(flag.lstrip("-?").replace("-", "_"), bare, n=1, cutoff=0.6)
    return bare[near[0]] if near else None


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


def _kind(hint: Any, place: str) -> tuple[type, bool, tuple[str, ...]]:
    """The type of one value, whether the option takes many, and the words it is one of."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        present = [each for each in typing.get_args(hint) if each is not type(None)]
        if len(present) == 1:
            hint = present[0]
    many = typing.get_origin(hint) is tuple and typing.get_args(hint)[1:] == (...,)
    kind = typing.get_args(hint)[0] if many else hint
    choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
    if choices and all(isinstance(choice, str) for choice in choices):
        return str, many, choices
    if kind not in (str, int, float, bool):
        raise TypeError(f"{place}: an option can't have the type {hint}")
    return kind, many, ()


def _parsed(spec: OptionSpec, value: Any) -> Any:
    if spec.many:
        given = [value] if isinstance(value, str) else value
        items = [item for each in given for item in (split(each) if isinstance(each, str) else [each])]
        parsed: Any = tuple(_one(spec, item) for item in items)
        if not parsed:
            raise ValueError("holds nothing but commas")
    else:
        parsed = _one(spec, value)
    if spec.check is not None:
        try:
            spec.check(parsed)
        except ValueError as wrong:
            raise ValueError(f"{_shown(value)}: {wrong}") from wrong
    return parsed


def _one(spec: OptionSpec, value: Any) -> Any:
    """One value as the option's type, or a ValueError that says what is allowed."""
    parsed = _typed(spec.type, value)
    if spec.choices and parsed not in spec.choices:
        raise ValueError(
            f"{_shown(value)} is not one of {', '.join(spec.choices)}.{_nearest(str(parsed), spec.choices)}"
        )
    if spec.pattern is not None and re.fullmatch(spec.pattern, str(parsed)) is None:
        form = f" ({spec.metavar})" if spec.metavar else ""
        raise ValueError(f"{_shown(value)} doesn't have the form {spec.pattern}{form}")
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
        if re.fullmatch(r"[+-]?[0-9]+", value):
            return int(value)
    else:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
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
