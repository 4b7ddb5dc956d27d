"""Plain values of a YAML file as the arguments of transforms, by what those are annotated with."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import apache_beam as beam
import msgspec
import pyarrow as pa

from beam_pipelines.contract import Contract, Mask, read_contract
from beam_pipelines.contract.derived import Masks
from beam_pipelines.contract.field import parse_mask
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.fixed_width import FixedWidthLayout
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.join.join import AsOf
from beam_pipelines.mask.keys import KeyReference
from beam_pipelines.sink.runs import RunIdentity
from beam_pipelines.uris import Uri
from beam_pipelines.window.duration import parse_duration
from beam_pipelines.window.spec import Window

Role = Literal["value", "contract", "run", "side", "left out"]
"""Of a parameter: said in the file; a contract, also known of the input; a run; an input; not to be had in YAML."""

LEFT_OUT = {
    ("BatchesToRows", "as_"): "rows are Beam Rows, which all of Beam YAML takes",
    ("FinalizeRun", "at_step"): "for tests",
    ("FinalizeRun", "before_commit"): "a function",
    ("FinalizeRun", "clock"): "for tests",
    ("FinalizeRun", "tables"): "WriteToTable commits by itself",
    ("ReadFromAmqp", "event_times"): "a function; name a contract",
    ("ReadFromAmqp", "policy"): "for tests; the URI says it",
    ("ReadFromKafka", "event_times"): "a function; name a contract",
    ("ReadFromKafka", "policy"): "for tests; the URI says it",
    ("ReadFromKinesis", "event_times"): "a function; name a contract",
    ("ReadFromKinesis", "policy"): "for tests; the URI says it",
    ("ReadFromMqtt", "event_times"): "a function; name a contract",
    ("ReadFromMqtt", "policy"): "for tests; the URI says it",
    ("ReadFromPubSub", "event_times"): "a function; name a contract",
    ("ReadFromPubSub", "policy"): "for tests; the URI says it",
    ("ScoreBatches", "refresh"): "a side input of model metadata, which YAML has no source of",
    ("ValidateRows", "as_"): "rows are Beam Rows, which all of Beam YAML takes",
    ("WatchFiles", "event_times"): "a function; name a contract",
    ("WatchFiles", "policy"): "for tests; the URI says it",
    ("WriteToAmqp", "retries"): "the default is meant to do",
    ("WriteToKafka", "retries"): "the default is meant to do",
    ("WriteToKinesis", "retries"): "the default is meant to do",
    ("WriteToMqtt", "retries"): "the default is meant to do",
    ("WriteToPubSub", "retries"): "the default is meant to do",
    ("WriteToRedis", "retries"): "the default is meant to do",
    ("WriteToLake", "cut"): "for the staging of tables, which WriteToTable does",
    ("WriteToLake", "read_once"): "for the staging of tables, which WriteToTable does",
}
"""Parameters that YAML has not, and why."""

DESCRIBED = (("EnrichBatches", "answers"),)
"""Parameters that are contracts of something else than the input, so that no input tells them."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of a transform, as YAML has it."""

    name: str
    role: Role
    kind: Any
    """The type of the plain value, as Beam's config schema may show it."""
    shown: str
    """What the value is, for people."""
    read: Callable[[str, Any], Any]
    required: bool
    default: Any


def parameters_of(transform: type[beam.PTransform]) -> dict[str, Parameter]:
    """A transform's parameters by name; those that no plain value can say are left out.

    >>> from beam_pipelines import DeduplicateBatches
    >>> [(name, each.shown) for name, each in parameters_of(DeduplicateBatches).items()][1:3]
    [('shards', 'integer'), ('keep', "'first' or 'last'")]
    """
    hints = typing.get_type_hints(transform.__init__)
    found = {}
    for name, parameter in inspect.signature(transform.__init__).parameters.items():
        if name == "self":
            continue
        role, kind, shown, read = _as_yaml(transform.__name__, name, hints[name])
        required = parameter.default is inspect.Parameter.empty
        found[name] = Parameter(
            name, role, kind, shown, read, required, None if required else _plain(parameter.default)
        )
    return found


def _plain(default: Any) -> Any:
    return str(default) if isinstance(default, Window) else default


_Reader = Callable[[str, Any], Any]


def _as_yaml(transform: str, name: str, hint: Any) -> tuple[Role, Any, str, _Reader]:
    members = _members(hint)
    if (transform, name) in LEFT_OUT:
        return "left out", Any, "", _never
    if (transform, name) in DESCRIBED:
        return "value", str, "path of a contract", _contract
    if any(typing.get_origin(each) is beam.PCollection or each is beam.PCollection for each in members):
        return "side", Any, "", _never
    if Contract in members or pa.Schema in members:
        return "contract", str, "path of a contract", _contract
    if name == "masks" or any(each == Masks for each in members):
        return "value", Mapping[str, str], "names and masks, as `short: redact`; `none` for what may be shown", _masks
    if RunIdentity in members:
        return "run", Any, "", _never
    for made, (kind, shown, read) in _MADE_OF.items():
        if made in members:
            return "value", kind, shown, read
    if not all(each in (Uri, Window, type(None)) or _is_plain(each) for each in members):
        return "left out", Any, "", _never
    plain = tuple(each for each in members if each not in (Uri, Window, type(None)))
    lists = [each for each in plain if _shown(each) == "list"]
    plain = tuple(each for each in plain if each not in lists[1:])  # a list is a list, in YAML
    expected = functools.reduce(operator.or_, [*plain, *([None] if type(None) in members else [])])
    return "value", _beam_kind(plain), " or ".join(dict.fromkeys(_shown(each) for each in plain)), _converted(expected)


def _members(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(member for part in typing.get_args(hint) for member in _members(part))
    return (hint,)


_WORDS = {str: "text", int: "integer", float: "number", bool: "true or false"}


def _is_plain(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    is_container = isinstance(origin, type) and issubclass(origin, (Mapping, Sequence))
    return kind in _WORDS or origin is Literal or is_container


def _shown(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin is Literal:
        *others, last = map(repr, typing.get_args(kind))
        return f"{', '.join(others)} or {last}" if others else last
    if origin is not None:
        return "mapping of names to text" if issubclass(origin, Mapping) else "list"
    return _WORDS[kind]


def _beam_kind(plain: tuple[Any, ...]) -> Any:
    if len(plain) > 1:
        return Any
    if typing.get_origin(plain[0]) is Literal:
        return str
    return plain[0]


def _converted(expected: Any) -> _Reader:
    def read(name: str, value: Any) -> Any:
        try:
            return msgspec.convert(value, expected)
        except msgspec.ValidationError as wrong:
            raise UsageError(f"{name}: {value!r}: {str(wrong).lower()}") from None

    return read


def _never(name: str, value: Any) -> Any:
    raise UsageError(f"{name}: {value!r}: not to be had in YAML")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name}: {value!r} is not text")
    return value


def _contract(name: str, value: Any) -> Contract:
    return read_contract(_text(name, value))


def _named(name: str, what: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(what)
    except UsageError as wrong:
        raise UsageError(f"{name}: {wrong}") from None


def _duration(name: str, value: Any) -> timedelta:
    text = _text(name, value)
    return timedelta(microseconds=_named(name, text, parse_duration))


def _mapping(name: str, value: Any, keys: Sequence[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{name}: {value!r} is not a mapping of {', '.join(keys)}")
    for key in value:
        if key not in keys:
            raise UsageError(f"{name}: there is no '{key}'.{did_you_mean(str(key), keys)}")
    return value


def _dialect(name: str, value: Any) -> CsvDialect:
    said = _mapping(name, value, [field.name for field in dataclasses.fields(CsvDialect)])
    made: CsvDialect = _converted(CsvDialect)(name, said)
    return made


def _as_of(name: str, value: Any) -> AsOf:
    said = _mapping(name, value, ["time", "table_time", "tolerance"])
    if "time" not in said:
        raise UsageError(f"{name}: 'time' is missing, the column of the rows' times")
    tolerance = None if said.get("tolerance") is None else _duration(f"{name}.tolerance", said["tolerance"])
    table_time = said.get("table_time")
    return AsOf(
        _text(f"{name}.time", said["time"]),
        None if table_time is None else _text(f"{name}.table_time", table_time),
        tolerance,
    )


def _masks(name: str, value: Any) -> dict[str, Mask | None]:
    if not isinstance(value, dict):
        raise UsageError(f"{name}: {value!r} is not a mapping of columns to masks")
    try:
        return {key: None if mask in (None, "none") else parse_mask(_text(name, mask)) for key, mask in value.items()}
    except ValueError as wrong:
        raise UsageError(f"{name}: {wrong}, or none if it may be shown") from None


_MADE_OF: dict[type, tuple[Any, str, _Reader]] = {
    CsvDialect: (Mapping[str, Any], "mapping of delimiter, quote, nulls, header", _dialect),
    FixedWidthLayout: (
        str,
        "text, as `id:1-8, note:9-30`",
        lambda name, value: _named(name, _text(name, value), FixedWidthLayout.parse),
    ),
    AsOf: (Mapping[str, str], "mapping of time, table_time, tolerance", _as_of),
    timedelta: (str, "duration, as `1h30m`", _duration),
    KeyReference: (str, "path of a file", lambda name, value: KeyReference(_text(name, value))),
}
"""What arguments that are no plain values are made of."""
