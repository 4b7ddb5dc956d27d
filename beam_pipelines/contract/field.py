"""One column of a contract, and the fields inside it: what values it takes and how they are hidden."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, get_args

import pyarrow as pa

from beam_pipelines.contract import patterns, values
from beam_pipelines.errors import ContractError, UsageError, did_you_mean

Scalar = str | int | float | bool | Decimal | date | datetime
OnFailure = Literal["reject", "null", "warn", "fail"]
MaskMethod = Literal["drop", "redact", "keep_last", "generalise", "pseudonym"]

RESERVED_PREFIX = "__"
"""Columns that start so are ours (payload, provenance); a contract can't name them."""

OPEN_CLASSIFICATIONS = frozenset({"public", "open", "unclassified", "none"})
"""Classifications whose values may be shown as they are; any other is treated as sensitive."""

ITEM, KEY, VALUE = "item", "key", "value"
"""Names of the fields inside arrays and maps."""

_MASKS = "drop, redact, keep_last:N, generalise:UNIT, pseudonym"


@dataclasses.dataclass(frozen=True)
class Mask:
    """How a field's value is hidden: a method and its argument (`keep_last:4`, `generalise:month`).

    >>> Mask("pseudonim")
    Traceback (most recent call last):
        ...
    beam_pipelines.errors.UsageError: there is no mask 'pseudonim'. Did you mean 'pseudonym'?
    """

    method: MaskMethod
    argument: str | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(MaskMethod):
            raise UsageError(f"there is no mask '{self.method}'.{did_you_mean(str(self.method), get_args(MaskMethod))}")

    def __str__(self) -> str:
        return self.method if self.argument is None else f"{self.method}:{self.argument}"


@dataclasses.dataclass(frozen=True)
class Field:
    """One column of a contract, or a field inside one.

    `type` is the Arrow type of its values: string, bool, int32, int64, float64, decimal128,
    date32, timestamp("us", "UTC"), or a struct, list or map of these; `Field.object`, `Field.array` and
    `Field.map` make the latter from the fields inside them. A field of another type can't be read from
    text.
    """

    name: str
    type: pa.DataType
    required: bool = False
    enum: tuple[Scalar, ...] | None = None
    minimum: Scalar | None = None
    maximum: Scalar | None = None
    exclusive_minimum: Scalar | None = None
    exclusive_maximum: Scalar | None = None
    multiple_of: int | float | Decimal | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    """ECMA-262 regular expression, found anywhere in the value; `re2_pattern` is what Arrow runs."""
    date_format: str | None = None
    """Java DateTimeFormatter pattern of a date or timestamp; None is ISO 8601. See `time_formats`."""
    default_timezone: str | None = None
    """IANA zone of timestamps that carry none; None refuses such timestamps."""
    event_time: bool = False
    primary_key_position: int | None = None
    """1-based place in the primary key; None when not part of it."""
    partition_position: int | None = None
    """1-based place among the partition columns; None when not one of them."""
    classification: str | None = None
    mask: Mask | None = None
    on_failure: OnFailure = "reject"
    description: str | None = dataclasses.field(default=None, repr=False)
    physical_name: str | None = None
    """Key or heading in the data when it is not `name`; see `source_name`."""
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """What only informs (business name, tags, examples, …), as the contract's file has it."""
    unique: bool = False
    """No value may be there twice in the data set; `CheckQuality` counts."""
    children: tuple[Field, ...] = ()
    """Fields of an object, the `item` of an array, the `key` and `value` of a map; made from the type if not given."""
    min_items: int | None = None
    """Least number of items of an array, entries of a map, or values that are there in an object."""
    max_items: int | None = None
    unique_items: bool = False
    """No item of an array may be in it twice."""

    def __post_init__(self) -> None:
        if not isinstance(self.type, pa.DataType):
            raise ContractError(str(self.name), [_no_type(self.type)])
        if self.primary_key_position is not None and not self.required:
            object.__setattr__(self, "required", True)  # a key without a value is no key
        object.__setattr__(self, "children", tuple(self.children) or _children_of(self.type))
        object.__setattr__(self, "type", values.nullable(self.type))

    @classmethod
    def object(cls, name: str, children: Iterable[Field], **rules: Any) -> Field:
        """A field that is an object, with named fields inside it; `rules` are the other attributes.

        >>> address = Field.object("address", [Field("city", pa.string(), required=True)])
        >>> str(address.type)
        'struct<city: string>'
        """
        inside = tuple(children)
        return cls(name, pa.struct([(child.name, child.type) for child in inside]), children=inside, **rules)

    @classmethod
    def array(cls, name: str, item: Field, **rules: Any) -> Field:
        """A field that is an array; `item` describes each of its items, and is called `item`.

        >>> str(Field.array("tags", Field("item", pa.string())).type)
        'list<item: string>'
        """
        return cls(name, pa.list_(item.type), children=(dataclasses.replace(item, name=ITEM),), **rules)

    @classmethod
    def map(cls, name: str, key: Field, value: Field, **rules: Any) -> Field:
        """A field that is a map: any keys, each with a value.

        >>> str(Field.map("scores", Field("key", pa.string()), Field("value", pa.int64())).type)
        'map<string, int64>'
        """
        inside = (dataclasses.replace(key, name=KEY, required=True), dataclasses.replace(value, name=VALUE))
        return cls(name, pa.map_(key.type, value.type), children=inside, **rules)

    @property
    def source_name(self) -> str:
        """The key of a JSON object or the heading of a CSV column that holds this field."""
        return self.name if self.physical_name is None else self.physical_name

    @property
    def re2_pattern(self) -> str | None:
        """The pattern as `pyarrow.compute.match_substring_regex` takes it."""
        return None if self.pattern is None else patterns.to_re2(self.pattern)

    @property
    def unmasked(self) -> bool:
        """True when the field is classified and nothing says how its values are hidden."""
        return self._classified and self.mask is None

    @property
    def hidden(self) -> bool:
        """True when its values may not be shown, and so nothing inside them."""
        return self.mask is not None or self._classified

    @property
    def sensitive(self) -> bool:
        """True when a value, or one inside it, may not be shown in a message, a log or a report."""
        return self.hidden or any(child.sensitive for child in self.children)

    @property
    def _classified(self) -> bool:
        return self.classification is not None and self.classification.lower() not in OPEN_CLASSIFICATIONS

    def inside(self) -> Iterator[tuple[str, Field]]:
        """Yield the fields inside this one at any depth, each with its path, as in `lines[].price`.

        >>> lines = Field.array("lines", Field.object("item", [Field("price", pa.int64())]))
        >>> [path for path, _ in lines.inside()]
        ['lines[]', 'lines[].price']
        """
        for child in self.children:
            path = child_path(self, child)
            yield path, child
            yield from ((path + deeper[len(child.name) :], field) for deeper, field in child.inside())


def child_path(parent: Field, child: Field, start: str | None = None) -> str:
    """The path of a field inside another, in which `[]` stands for any item of an array or value of a map."""
    path = parent.name if start is None else start
    if pa.types.is_struct(parent.type):
        return f"{path}.{child.name}"
    return f"{path}.{KEY}" if child.name == KEY and pa.types.is_map(parent.type) else f"{path}[]"


def parse_mask(text: str) -> Mask:
    """Read `drop`, `redact`, `keep_last:4`, `generalise:month` or `pseudonym`.

    >>> parse_mask("keep_last:4")
    Mask(method='keep_last', argument='4')
    """
    method, _, argument = text.strip().partition(":")
    shapes: dict[str, tuple[MaskMethod, str]] = {
        "drop": ("drop", ""),
        "redact": ("redact", ""),
        "pseudonym": ("pseudonym", ""),
        "keep_last": ("keep_last", r"[1-9]\d*"),
        "generalise": ("generalise", r"\w+(\.\d+)?"),
    }
    if method not in shapes or re.fullmatch(shapes[method][1], argument) is None:
        near = did_you_mean(method, shapes) if method not in shapes else ""
        hint = near if near.startswith(" Did") else ""
        raise ValueError(f"mask '{text}' is not one of {_MASKS}.{hint}".removesuffix("." if not hint else ""))
    return Mask(shapes[method][0], argument or None)


def _children_of(kind: pa.DataType) -> tuple[Field, ...]:
    if pa.types.is_struct(kind):
        return tuple(Field(child.name, child.type, required=not child.nullable) for child in kind)
    if pa.types.is_map(kind):
        return (
            Field(KEY, kind.key_type, required=True),
            Field(VALUE, kind.item_type, required=not kind.item_field.nullable),
        )
    if pa.types.is_list(kind):
        return (Field(ITEM, kind.value_type, required=not kind.value_field.nullable),)
    return ()


def _no_type(stated: Any) -> str:
    known = {str(kind): kind for kind in values.SIMPLE}
    hint = did_you_mean(str(stated), known)
    example = ' Write it as in pyarrow.string(), pyarrow.int64() or pyarrow.timestamp("us", "UTC").'
    return (
        f"the type of a field is a pyarrow.DataType, not {stated!r}.{hint if hint.startswith(' Did') else ''}{example}"
    )
