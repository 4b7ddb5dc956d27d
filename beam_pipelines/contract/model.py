"""What a row is: an immutable description of a data set, whatever file or code it came from."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa

from beam_pipelines.contract import patterns
from beam_pipelines.errors import ContractError, did_you_mean

Scalar = str | int | float | bool | Decimal | date | datetime
OnFailure = Literal["reject", "null", "warn", "fail"]
OnSchemaChange = Literal["evolve", "freeze", "discard_row", "discard_value"]
MaskMethod = Literal["drop", "redact", "keep_last", "generalise", "pseudonym"]

RESERVED_PREFIX = "__"
"""Columns that start so are ours (payload, provenance); a contract can't name them."""


@dataclasses.dataclass(frozen=True)
class Mask:
    """How a field's value is hidden: a method and its argument (`keep_last:4`, `generalise:month`)."""

    method: MaskMethod
    argument: str | None = None

    def __str__(self) -> str:
        return self.method if self.argument is None else f"{self.method}:{self.argument}"


@dataclasses.dataclass(frozen=True)
class Field:
    """One column of a contract.

    `type` is the Arrow type of its values: string, bool, int32, int64, float64, decimal128,
    date32 or timestamp("us", "UTC"). A field of another type can't be read from text.
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

    def __post_init__(self) -> None:
        if self.primary_key_position is not None and not self.required:
            object.__setattr__(self, "required", True)  # a key without a value is no key

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
        return self.sensitive and self.mask is None

    @property
    def sensitive(self) -> bool:
        """True when a value may not be shown in a message, a log or a report."""
        return self.mask is not None or (
            self.classification is not None and self.classification.lower() not in OPEN_CLASSIFICATIONS
        )


OPEN_CLASSIFICATIONS = frozenset({"public", "open", "unclassified", "none"})
"""Classifications whose values may be shown as they are; any other is treated as sensitive."""


@dataclasses.dataclass(frozen=True)
class Contract:
    """The one description of a data set.

    >>> import pyarrow as pa
    >>> orders = Contract("orders", (Field("id", pa.int64(), required=True), Field("note", pa.string())))
    >>> orders.field("id").required
    True
    >>> orders.field("nmae")
    Traceback (most recent call last):
        ...
    beam_pipelines.errors.ContractError: orders: not a usable contract
      no field 'nmae'. There is: id, note.
    """

    name: str
    fields: tuple[Field, ...]
    version: str = "0.0.0"
    deduplicate: bool = False
    on_schema_change: OnSchemaChange = "discard_value"
    source: str = dataclasses.field(default="<python>", compare=False, repr=False)
    """Where it was read from, for messages."""

    about: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """What only informs (team, roles, servers, …), as the contract's file has it."""

    def __post_init__(self) -> None:
        from beam_pipelines.contract import checks  # it knows masks, which know this module

        findings = [
            f"field '{field.name}': {conflict.message}"
            for field in self.fields
            for conflict in checks.field_conflicts(field)
        ]
        across = checks.contract_conflicts(self.fields, self.deduplicate, self.on_schema_change)
        findings += [conflict.message for _, conflict in across]
        if findings:
            raise ContractError(self.name, findings)

    def field(self, name: str) -> Field:
        """Return the field of that name; ContractError names the nearest one there is."""
        for field in self.fields:
            if field.name == name:
                return field
        raise ContractError(self.name, [f"no field '{name}'." + did_you_mean(name, self.names)])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    @property
    def event_time(self) -> Field | None:
        """The field that is the row's event time, if there is one."""
        return next((field for field in self.fields if field.event_time), None)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the primary key's fields, in key order."""
        return _by_position({field.name: field.primary_key_position for field in self.fields})

    @property
    def partition_by(self) -> tuple[str, ...]:
        """Names of the partition columns, in order."""
        return _by_position({field.name: field.partition_position for field in self.fields})

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of a batch of valid rows; required fields are not nullable."""
        return pa.schema([pa.field(field.name, field.type, nullable=not field.required) for field in self.fields])

    @property
    def fingerprint(self) -> str:
        """Short hash of all that changes what a row means: not of its source, nor of what only informs."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]  # they are kept out of the repr


def _by_position(positions: dict[str, int | None]) -> tuple[str, ...]:
    placed: Sequence[tuple[int, str]] = sorted((place, name) for name, place in positions.items() if place is not None)
    return tuple(name for _, name in placed)


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
        raise ValueError(f"mask '{text}' is not one of drop, redact, keep_last:N, generalise:UNIT, pseudonym")
    return Mask(shapes[method][0], argument or None)
