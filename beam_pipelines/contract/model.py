"""What a row is: an immutable description of a data set, whatever file or code it came from."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from beam_pipelines.contract import contract_checks, nesting
from beam_pipelines.contract.field import (
    OPEN_CLASSIFICATIONS as OPEN_CLASSIFICATIONS,
)
from beam_pipelines.contract.field import (
    RESERVED_PREFIX as RESERVED_PREFIX,
)
from beam_pipelines.contract.field import Field as Field
from beam_pipelines.contract.field import Mask as Mask
from beam_pipelines.contract.field import MaskMethod as MaskMethod
from beam_pipelines.contract.field import OnFailure as OnFailure
from beam_pipelines.contract.field import Scalar as Scalar
from beam_pipelines.contract.field import parse_mask as parse_mask
from beam_pipelines.contract.relations import Measure, Relationship
from beam_pipelines.contract.rules import QualityRule, rule_conflicts
from beam_pipelines.errors import ContractError, did_you_mean

OnSchemaChange = contract_checks.OnSchemaChange


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

    relationships: tuple[Relationship, ...] = ()
    """Foreign keys: fields whose values are those of a key elsewhere."""

    quality: tuple[QualityRule, ...] = ()
    """What a row, or the data set as a whole, has to be like; see `QualityRule`."""

    measures: tuple[Measure, ...] = ()
    """Named aggregates over the rows; they are no fields."""

    def __post_init__(self) -> None:
        for attribute in ("fields", "relationships", "quality", "measures"):
            object.__setattr__(self, attribute, tuple(getattr(self, attribute)))
        places = {name: place for place, name in enumerate(getattr(each, "name", None) for each in self.fields)}
        in_order = sorted(self.quality, key=lambda rule: places.get(rule.fields[0], 0) if len(rule.fields) == 1 else -1)
        object.__setattr__(self, "quality", tuple(in_order))  # as a file has them
        strangers = [each for each in self.fields if not isinstance(each, Field)]
        if strangers:
            raise ContractError(self.name, [f"a field is a Field, not {each!r}" for each in strangers])
        findings = [
            f"field '{path}': {conflict.message}"
            for field in self.fields
            for path, conflict in nesting.all_field_conflicts(field)
        ]
        across = contract_checks.contract_conflicts(self.fields, self.deduplicate, self.on_schema_change)
        findings += [conflict.message for _, conflict in across]
        for relationship in self.relationships:
            if wrong := contract_checks.relationship_conflict(relationship, self.fields):
                findings.append(f"relationship {relationship}: {wrong}")
        for rule in self.quality:
            findings += [
                f"quality rule '{rule.name}': {wrong}" for _, wrong in rule_conflicts(rule, self.fields, self.name)
            ]
        for index, wrong in contract_checks.measure_conflicts(self.measures, self.fields):
            findings.append(f"measure '{self.measures[index].name}': {wrong}")
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
    def description(self) -> str | None:
        """What the data set is, in the words of its file."""
        told = self.about.get("schema", {}).get("description")
        return told if isinstance(told, str) else None

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
    def row_rules(self) -> tuple[QualityRule, ...]:
        """The quality rules that validation judges in each row."""
        return tuple(rule for rule in self.quality if rule.of_rows)

    @property
    def data_set_rules(self) -> tuple[QualityRule, ...]:
        """The quality rules about the data set as a whole, with one for each field that is `unique`."""
        deduplicated = self.primary_key if self.deduplicate else ()
        unique = (field.name for field in self.fields if field.unique and deduplicated != (field.name,))
        implied = (QualityRule("duplicateValues", "mustBe", 0, (name,)) for name in unique)
        return (*implied, *(rule for rule in self.quality if not rule.of_rows))

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of a batch of valid rows; required fields are not nullable."""
        return pa.schema([pa.field(field.name, field.type, nullable=not field.required) for field in self.fields])

    @property
    def fingerprint(self) -> str:
        """Short hash of all that changes what a row means: not of its source, nor of what only informs."""
        return hashlib.sha256(repr(_told(self)).encode()).hexdigest()[:16]


def _told(value: Any) -> Any:
    """What is said of a row's meaning. What is left at its default is not part of it, so that a later version
    of the model, with more to say, has the same fingerprints for what says no more."""
    if isinstance(value, tuple):
        return tuple(map(_told, value))
    if not dataclasses.is_dataclass(value):
        return value
    attributes = [(field, getattr(value, field.name)) for field in dataclasses.fields(value) if field.repr]
    return [(field.name, _told(told)) for field, told in attributes if told != field.default]


def _by_position(positions: dict[str, int | None]) -> tuple[str, ...]:
    placed: Sequence[tuple[int, str]] = sorted((place, name) for name, place in positions.items() if place is not None)
    return tuple(name for _, name in placed)
