"""One property of a schema object as a field of a contract."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa

from beam_pipelines.contract import checks
from beam_pipelines.contract.findings import Path, Report, shown
from beam_pipelines.contract.model import Field
from beam_pipelines.contract.odcs import limits, types
from beam_pipelines.contract.odcs.extensions import Extensions, read_extensions
from beam_pipelines.contract.odcs.yaml_tree import Node
from beam_pipelines.contract.time_formats import read_time_format

STANDARD_ZONE = "Etc/UTC"
"""What the standard takes a timestamp's zone for when none is defined."""

INFORMING = (  # noqa: SIM905  a word a line is no easier to read
    "id businessName tags authoritativeDefinitions synonyms examples deprecated criticalDataElement encryptedName "
    "transformSourceObjects transformLogic transformDescription semanticType context unique"
).split()
"""Keys of a property that say nothing about which values it takes; they are carried along."""

_PLACES: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "physical_name": ("physicalName",),
    "type": ("logicalType",),
    "required": ("required",),
    "enum": ("enum",),
    "date_format": ("logicalTypeOptions", "format"),
    "default_timezone": ("logicalTypeOptions", "defaultTimezone"),
    "primary_key_position": ("primaryKeyPosition",),
    "partition_position": ("partitionKeyPosition",),
    "multiple_of": ("logicalTypeOptions", "multipleOf"),
    "min_length": ("logicalTypeOptions", "minLength"),
    "max_length": ("logicalTypeOptions", "maxLength"),
    "pattern": ("logicalTypeOptions", "pattern"),
    **{attribute: ("logicalTypeOptions", word) for word, attribute in limits.BOUNDS.items()},
}
_NEXT_PLACES = {
    "primary_key_position": ("primaryKey",),
    "partition_position": ("partitioned",),
    "default_timezone": ("logicalTypeOptions",),
    **dict.fromkeys(("minimum", "maximum"), ("logicalTypeOptions", "format")),
}
_CUSTOM = {"event_time": "eventTime", "mask": "mask", "on_failure": "onFailure"}


@dataclasses.dataclass
class Property:
    """A property read: its field as far as it could be, and where each of its attributes stands."""

    node: Node
    field: Field
    complete: bool
    extensions: Extensions
    sole_key: bool
    """True for the one field of a primary key."""

    def place(self, attribute: str) -> tuple[int, Path]:
        """Line and path of an attribute of the field, or of the property itself."""
        if attribute in _CUSTOM:
            custom = self.extensions.ours.get(_CUSTOM[attribute])
            return (self.node.line, self.node.path) if custom is None else (custom.line, custom.path)
        for keys in (_PLACES.get(attribute), _NEXT_PLACES.get(attribute)):
            if keys is not None and self.node.get(*keys) is not None:
                return self.node.line_of(*keys), (*self.node.path, *keys)
        return self.node.line, self.node.path


@dataclasses.dataclass(frozen=True)
class Positions:
    """Places of a property in the primary key and among the partition columns, counted over the object."""

    primary_key: int | None = None
    partition: int | None = None
    sole_key: bool = False


def read_property(item: Node, logical: str | None, positions: Positions, report: Report) -> Property:
    """Read a property; what can't be used is in the report."""
    before = report.errors
    extensions = read_extensions(item, "property", report)
    facts = _facts(item, extensions, positions, report)
    _refuse_unsupported(item, logical, positions, report)
    kind = types.field_type(item, logical, report) if logical in types.SUPPORTED else None
    if kind is not None:
        facts |= _rules(item, kind, facts["required"], report)
    field = Field(type=pa.null() if kind is None else kind.type, **facts)
    complete = kind is not None and report.errors == before
    found = Property(item, field, complete, extensions, positions.sole_key)
    if complete:
        for conflict in checks.field_conflicts(field):
            line, path = found.place(conflict.attributes[0])
            report.error(line, path, conflict.message)
            found.complete = False
    return found


def _facts(item: Node, extensions: Extensions, positions: Positions, report: Report) -> dict[str, Any]:
    """What can be said of a field whatever its type."""
    required = item.get("required")
    if positions.primary_key is not None and required is not None and required.flag is False:
        message = "part of the primary key, so it is required all the same: a key without a value is no key"
        report.warning(required.line, required.path, message)
    name, physical = _text(item, "name"), _text(item, "physicalName")
    return {
        "name": name or "",
        "physical_name": physical if physical != name else None,
        "required": positions.primary_key is not None or bool(required and required.flag),
        "description": _text(item, "description"),
        "classification": _text(item, "classification"),
        "primary_key_position": positions.primary_key,
        "partition_position": positions.partition,
        "event_time": extensions.event_time(report),
        "mask": extensions.mask(report),
        "on_failure": extensions.on_failure(report),
        "about": _about(item, extensions),
    }


def _text(item: Node, *keys: str) -> str | None:
    node = item.get(*keys)
    return None if node is None else node.string


def _rules(item: Node, kind: types.FieldType, required: bool, report: Report) -> dict[str, Any]:
    """What values of the type must be like."""
    zone = None
    rules: dict[str, Any] = {}
    if pa.types.is_timestamp(kind.type):
        zone = rules["default_timezone"] = _zone(item, report)
    if pa.types.is_timestamp(kind.type) or pa.types.is_date(kind.type):
        rules["date_format"] = _java_format(_text(item, "logicalTypeOptions", "format"))
    elif pa.types.is_string(kind.type) and item.get("logicalTypeOptions", "format") is not None:
        stated: Any = item.get("logicalTypeOptions", "format")
        message = f"the format {shown(stated.data)} informs and isn't checked: say it with a pattern to have it checked"
        report.warning(stated.line, stated.path, message)
    for word, attribute in (("minLength", "min_length"), ("maxLength", "max_length")):
        node = item.get("logicalTypeOptions", word)
        rules[attribute] = int(node.value) if node is not None and isinstance(node.value, int | float) else None
    rules["pattern"] = _text(item, "logicalTypeOptions", "pattern")
    rules["enum"] = limits.read_enum(item, kind.type, zone, required, report)
    rules["multiple_of"] = limits.read_multiple_of(item, kind.type, report)
    return rules | limits.read_bounds(item, kind, zone, report)


def _java_format(pattern: str | None) -> str | None:
    try:
        return None if pattern is None else read_time_format(pattern).pattern
    except ValueError:
        return pattern  # the check of the field says what is wrong


def _zone(item: Node, report: Report) -> str | None:
    """The zone of timestamps that carry none; None refuses them.

    A plain timestamp says nothing of zones; then each value must. The contract says that they carry
    none by `timezone: false`, a `defaultTimezone`, a format or a physical type without zone.
    """
    stated = item.get("logicalTypeOptions", "timezone")
    default = _text(item, "logicalTypeOptions", "defaultTimezone")
    if stated is not None and stated.flag:
        return None
    if default is not None:
        return default
    pattern = _text(item, "logicalTypeOptions", "format")
    without = stated is not None or types.has_no_zone(item)
    if pattern is not None:
        try:
            without = without or not read_time_format(pattern).has_zone
        except ValueError:
            return STANDARD_ZONE  # the format's own finding is enough
    elif not without:
        line, path = item.line_of("logicalType"), item.path
        message = (
            "says nothing of time zones: values without one are refused. If they are UTC, say defaultTimezone: UTC"
        )
        report.warning(line, path, message)
    return STANDARD_ZONE if without else None


def _about(item: Node, extensions: Extensions) -> dict[str, Any]:
    about = {key: node.data for key in INFORMING if (node := item.get(key)) is not None}
    physical = item.get("physicalType")
    if physical is not None:
        about["physicalType"] = physical.string
    string_format = item.get("logicalTypeOptions", "format")
    if string_format is not None and _text(item, "logicalType") in (None, "string"):
        about["format"] = string_format.data
    quality = item.get("quality")
    if quality is not None:
        about["quality"] = quality.data
    if extensions.others:
        about["customProperties"] = extensions.others
    return about


def _refuse_unsupported(item: Node, logical: str | None, positions: Positions, report: Report) -> None:
    if logical in types.NOT_YET:
        supported = ", ".join(types.SUPPORTED)
        line, path = item.line_of("logicalType"), (*item.path, "logicalType")
        report.error(line, path, f"the logicalType '{logical}' is not supported yet. Supported: {supported}.")
    semantic = item.get("semanticType")
    if semantic is not None and semantic.value == "measure":
        message = "measures are not supported yet: a measure is no column of the rows. Take it out, or give --aggregate"
        report.error(semantic.line, semantic.path, message)
    unique = item.get("unique")
    if unique is not None and unique.flag and not positions.sole_key:
        message = "unique is not supported yet, but for the one field of the primary key"
        report.error(item.line_of("unique"), unique.path, message)
    refuse_relations(item, report)


def refuse_relations(element: Node, report: Report) -> None:
    """Refuse what would need other rows: foreign keys, and quality rules meant to be run by whoever reads."""
    relationships = element.get("relationships")
    if relationships is not None and relationships.items:
        line, path = element.line_of("relationships"), relationships.path
        report.error(line, path, "relationships (foreign keys) are not supported yet: take them out to run unchecked")
    quality = element.get("quality")
    for rule in quality.items if quality is not None else ():
        kind = _text(rule, "type") or "library"
        if kind == "text":
            continue
        if kind == "custom":
            engine = _text(rule, "engine")
            report.warning(
                rule.line, rule.path, f"the rule is written for {engine or 'another engine'}: not checked here"
            )
        else:
            message = (
                f"quality rules of type '{kind}' are not supported yet: say it with required, enum, pattern or bounds"
            )
            report.error(rule.line, rule.path, message)
