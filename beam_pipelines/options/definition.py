"""What an option is, and what makes a definition a good one: mistakes in it are found when it is first looked at."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from beam_pipelines.options import values
from beam_pipelines.options.values import Rules

PARAM_TYPES = frozenset(
    {
        "TEXT",
        "GCS_READ_BUCKET",
        "GCS_WRITE_BUCKET",
        "GCS_READ_FILE",
        "GCS_WRITE_FILE",
        "GCS_READ_FOLDER",
        "GCS_WRITE_FOLDER",
        "PUBSUB_TOPIC",
        "PUBSUB_SUBSCRIPTION",
        "BIGQUERY_TABLE",
        "JAVASCRIPT_UDF_FILE",
        "SERVICE_ACCOUNT",
        "MACHINE_TYPE",
        "KMS_KEY_NAME",
        "WORKER_REGION",
        "WORKER_ZONE",
        "BOOLEAN",
        "ENUM",
        "NUMBER",
        "KAFKA_TOPIC",
        "KAFKA_READ_TOPIC",
        "KAFKA_WRITE_TOPIC",
    }
)
"""The types of a flex template's parameter: `google.cloud.dataflow.ParameterType` without its DEFAULT."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_ABBREVIATIONS = {"csv": "CSV", "id": "ID", "json": "JSON", "sql": "SQL", "uri": "URI", "url": "URL", "xml": "XML"}
# RE2, which Google's service has, and ECMA-262, which JSON Schema has, mean the same by what is left.
_NOT_EVERYWHERE = re.compile(r"\(\?(?!:)|\\[1-9AZzpPkG]|[*+?}]\+")


@dataclasses.dataclass(frozen=True)
class Parent:
    """The option that another one belongs to: without it, that one means nothing.

    `values` are those of the parent for which it means something, as text; empty stands for any value.
    """

    name: str
    values: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class OptionSpec:
    """What is known of one option.

    `type` is str, int, float or bool. `many` means a tuple of them: the option may be repeated and
    each value may hold several, separated by commas. `default` is None when it is required. `meanings`
    says of choices what each does.
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
    meanings: Mapping[str, str]
    pattern: str | None
    requires: Parent | None
    param_type: str
    check: Callable[[Any], None] | None
    example: str | None

    @property
    def flag(self) -> str:
        """The option as it is written on a command line."""
        return f"--{self.name}"

    @property
    def label(self) -> str:
        """The name as a person would write it: what a form shows beside the field.

        >>> @dataclasses.dataclass
        ... class Options:
        ...     csv_header: bool = option("Whether there is a header.", default=True)
        >>> specs(Options)[0].label
        'CSV header'
        """
        first, *rest = [_ABBREVIATIONS.get(word, word) for word in self.name.split("_")]
        return " ".join([first[0].upper() + first[1:], *rest])

    @property
    def default_text(self) -> str | None:
        """The default as it would be written; None when there is none."""
        return None if self.default is None or self.default == () else values.as_text(self.default)

    @property
    def placeholder(self) -> str:
        """What stands for the value in help texts."""
        return self.metavar or ("|".join(self.choices) if self.choices else self.type.__name__.upper())

    @property
    def condition(self) -> str:
        """When it means something, as a sentence; empty when it always does."""
        if self.requires is None:
            return ""
        values = f" {' or '.join(self.requires.values)}" if self.requires.values else ""
        return f"Only with --{self.requires.name}{values}."

    @property
    def rules(self) -> Rules:
        """What a value has to be."""
        return Rules(self.type, self.many, self.choices, self.pattern, self.metavar, self.check)


def option(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    group: str = "pipeline",
    metavar: str | None = None,
    pattern: str | None = None,
    requires: str | Parent | None = None,
    meanings: Mapping[str, str] | None = None,
    param_type: str | None = None,
    check: Callable[[Any], None] | None = None,
    example: str | None = None,
) -> Any:
    """Define an option as a dataclass field, typed `str`, `int`, `float`, `bool`, `Literal["a", "b"]`, `X | None`
    or `tuple[X, ...]`.

    Without a default it is required. `help` is sentences. The words of a Literal (of which `meanings`
    may say what each does), and `pattern` (a regular expression for the whole value, in what RE2 and
    ECMA-262 have in common), hold for each of several values. `check` is called with the parsed value
    and raises ValueError, whose text says what is allowed.

    `requires` names the option without which this one means nothing, or with `Parent("format", ("csv",))`
    also the values for which it does (of a switch that is off by default: that it is on); who gives it
    nevertheless is told so. `param_type` is the flex template's parameter type, one of `PARAM_TYPES`; it
    follows from the type if not given. `example` is a value as one would write it, for commands in docs.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Options:
    ...     aggregate: str | None = option("What to compute.", default=None)
    ...     group_by: tuple[str, ...] = option("Columns to group by.", default=(), requires="aggregate")
    >>> from beam_pipelines.options import parse
    >>> parse(Options, {"group_by": "country"})
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: --group_by means nothing without --aggregate: add --aggregate, or leave it out
    """
    facts = {
        "help": help,
        "group": group,
        "metavar": metavar,
        "pattern": pattern,
        "requires": Parent(requires) if isinstance(requires, str) else requires,
        "meanings": types.MappingProxyType(dict(meanings or {})),
        "param_type": param_type,
        "check": check,
        "example": example,
    }
    return dataclasses.field(default=default, metadata=facts, kw_only=True)


def specs(cls: type) -> list[OptionSpec]:
    """Return the options of a dataclass, in the order they are written.

    Raises TypeError for a field that `option(...)` didn't make, for a type no option can have, and for
    a definition that contradicts itself.
    """
    hints = typing.get_type_hints(cls)
    found: dict[str, OptionSpec] = {}
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for field in (fields[name] for name in _written_order(cls)):
        place = f"{cls.__name__}.{field.name}"
        if "param_type" not in field.metadata:
            raise TypeError(f"{place} is not made by option(...)")
        kind, many, choices = _kind(hints[field.name], place)
        required = field.default is dataclasses.MISSING
        facts = dict(field.metadata)
        facts["param_type"] = facts["param_type"] or _param_type(kind, many, choices)
        found[field.name] = OptionSpec(
            name=field.name,
            type=kind,
            many=many,
            choices=choices,
            required=required,
            default=None if required else field.default,
            **facts,
        )
    found = {name: _switched(spec, found) for name, spec in found.items()}
    for spec in found.values():
        for wrong in _contradictions(spec, found):
            raise TypeError(f"{cls.__name__}.{spec.name}: {wrong}")
    return list(found.values())


def _written_order(cls: type) -> list[str]:
    """Names of the fields as they are written; dataclasses has those of the last base first."""
    names = [name for base in cls.__bases__ for name in _written_order(base)]
    return list(dict.fromkeys([*names, *inspect.get_annotations(cls)]))


def _switched(spec: OptionSpec, known: Mapping[str, OptionSpec]) -> OptionSpec:
    """The option, whose parent has to be true if that is a switch that is off by default."""
    above = known.get(spec.requires.name) if spec.requires is not None and not spec.requires.values else None
    if above is None or above.default is not False:
        return spec
    return dataclasses.replace(spec, requires=Parent(above.name, ("true",)))


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


def _param_type(kind: type, many: bool, choices: tuple[str, ...]) -> str:
    if many or (kind is str and not choices):
        return "TEXT"
    return "ENUM" if choices else "BOOLEAN" if kind is bool else "NUMBER"


def _contradictions(spec: OptionSpec, known: Mapping[str, OptionSpec]) -> typing.Iterator[str]:
    """What is wrong with a definition."""
    if not _NAME.fullmatch(spec.name):
        yield "a name has small letters, digits and single underscores"
    if not spec.help.strip().endswith((".", ")")):
        yield "its help is not sentences: it has no full stop at its end"
    if spec.param_type not in PARAM_TYPES:
        yield f"there is no param_type {spec.param_type}"
    natural = _param_type(spec.type, spec.many, spec.choices)
    if natural != spec.param_type and (natural != "TEXT" or spec.param_type in ("ENUM", "BOOLEAN", "NUMBER")):
        yield f"its type makes it {natural}, not {spec.param_type}"
    if set(spec.meanings) - set(spec.choices):
        yield f"meanings are given of what is no choice: {', '.join(sorted(set(spec.meanings) - set(spec.choices)))}"
    if spec.pattern is not None and _NOT_EVERYWHERE.search(spec.pattern):
        yield f"the pattern {spec.pattern} uses what RE2 or ECMA-262 doesn't have"
    yield from _unreadable("default", spec, spec.default_text)
    yield from _unreadable("example", spec, spec.example)
    if spec.requires is not None:
        yield from _wrong_parent(spec.requires, spec, known)


def _unreadable(what: str, spec: OptionSpec, text: str | None) -> typing.Iterator[str]:
    """Whether a default or an example, as text, is a value of the option."""
    if text is None:
        return
    try:
        read = values.parsed(spec.rules, text)
    except ValueError as wrong:
        yield f"its {what} breaks its own rules: {wrong}"
    else:
        if what == "default" and read != spec.default:
            yield f"its default can't be written: {text!r} reads as {read!r}, not {spec.default!r}"


def _wrong_parent(parent: Parent, spec: OptionSpec, known: Mapping[str, OptionSpec]) -> typing.Iterator[str]:
    if spec.required:
        yield "it is always required, so it can't depend on another"
    if parent.name not in known or parent.name == spec.name:
        yield f"it requires {parent.name}, which is no other option"
        return
    above = known[parent.name]
    if not parent.values and (above.default_text is not None or above.type is bool):
        yield f"it requires {parent.name}, which always has a value: say for which ones it means something"
    try:
        for value in parent.values:
            values.parsed(above.rules, value)
    except ValueError as wrong:
        yield f"it requires a value of {parent.name} that can't be: {wrong}"
    seen = {spec.name}
    while above.requires is not None and above.requires.name in known:
        if above.name in seen:
            yield f"it requires {parent.name}, which requires it again"
            return
        seen.add(above.name)
        above = known[above.requires.name]
