"""One property of a schema object as a field of a contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from beam_pipelines.contract import checks, nesting
from beam_pipelines.contract.field import ITEM, KEY, VALUE, Field
from beam_pipelines.contract.findings import Path, Report
from beam_pipelines.contract.odcs import limits, types, value_rules
from beam_pipelines.contract.odcs.extensions import Extensions, read_extensions
from beam_pipelines.contract.odcs.yaml_tree import Node
from beam_pipelines.errors import did_you_mean

INFORMING = (  # noqa: SIM905  a word a line is no easier to read
    "id businessName tags authoritativeDefinitions synonyms examples deprecated criticalDataElement encryptedName "
    "transformSourceObjects transformLogic transformDescription semanticType context"
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
    "unique": ("unique",),
    "unique_items": ("logicalTypeOptions", "uniqueItems"),
    "min_items": ("logicalTypeOptions", "minItems"),
    "max_items": ("logicalTypeOptions", "maxItems"),
    **{attribute: ("logicalTypeOptions", word) for word, attribute in limits.BOUNDS.items()},
}
_NEXT_PLACES = {
    "primary_key_position": ("primaryKey",),
    "partition_position": ("partitioned",),
    "default_timezone": ("logicalTypeOptions",),
    "min_items": ("logicalTypeOptions", "minProperties"),
    "max_items": ("logicalTypeOptions", "maxProperties"),
    **dict.fromkeys(("minimum", "maximum"), ("logicalTypeOptions", "format")),
}
_INSIDE = (("properties",), ("items",), ("map", "key"))
_CUSTOM = {"event_time": "eventTime", "mask": "mask", "on_failure": "onFailure"}


@dataclasses.dataclass
class Property:
    """A property read: its field as far as it could be, and where each of its attributes stands."""

    node: Node
    field: Field
    complete: bool
    extensions: Extensions
    children: tuple[Property, ...] = ()
    """Those inside an object, an array or a map, as `field` has them."""

    def everything(self) -> Iterator[Property]:
        """Yield this property and those inside it at any depth."""
        yield self
        for child in self.children:
            yield from child.everything()

    def place(self, attribute: str) -> tuple[int, Path]:
        """Line and path of an attribute of the field, or of the property itself."""
        if attribute in _CUSTOM:
            custom = self.extensions.ours.get(_CUSTOM[attribute])
            return (self.node.line, self.node.path) if custom is None else (custom.line, custom.path)
        inside = _INSIDE if attribute == "children" else ()
        for keys in (*inside, _PLACES.get(attribute), _NEXT_PLACES.get(attribute)):
            if keys is not None and self.node.get(*keys) is not None:
                return self.node.line_of(*keys), (*self.node.path, *keys)
        return self.node.line, self.node.path


@dataclasses.dataclass(frozen=True)
class Positions:
    """Places of a property in the primary key and among the partition columns, counted over the object."""

    primary_key: int | None = None
    partition: int | None = None


Logical = Mapping[int, str | None]
"""The logical type of each property by its node's id()."""


def read_property(item: Node, logical: Logical, positions: Positions, report: Report) -> Property:
    """Read a property of a row; what can't be used is in the report."""
    return _read(item, logical, positions, report, None)


def _read(item: Node, logical: Logical, positions: Positions, report: Report, inside: str | None) -> Property:
    """Read a property; `inside` is the name of one that is inside another, and has none of its own."""
    before = report.errors
    extensions = read_extensions(item, "property", report)
    facts = _facts(item, extensions, positions, report)
    word = logical.get(id(item))
    _refuse_unsupported(item, word, report)
    children: tuple[Property, ...] = ()
    kind: types.FieldType | None = None
    if inside is not None:
        _refuse_inside(item, report)
        facts["name"] = inside
    if word in types.NESTED:
        children = tuple(_children(item, word, logical, report))
        facts |= _shape(item, word, children, report)
        if len(children) == (2 if word == "map" else len(children) or 1) and all(child.complete for child in children):
            kind = types.FieldType(_nested_type(word, [child.field for child in children]))
    elif word in types.SUPPORTED:
        kind = types.field_type(item, word, report)
    if kind is not None:
        facts |= value_rules.read_rules(item, kind, facts["required"], report)
        value_rules.check_examples(item, kind.type, facts.get("default_timezone"), report)
    field = Field(type=pa.null() if kind is None else kind.type, **facts)
    complete = kind is not None and report.errors == before
    found = Property(item, field, complete, extensions, children)
    if complete:
        conflicts = [*checks.field_conflicts(field), *nesting.nested_conflicts(field)]
        for conflict in conflicts + (list(nesting.inside_conflicts(field)) if inside is not None else []):
            line, path = found.place(conflict.attributes[0])
            report.error(line, path, conflict.message)
            found.complete = False
    return found


def _children(item: Node, word: str, logical: Logical, report: Report) -> Iterator[Property]:
    """Read what is inside an object, an array or a map."""
    if word == "object":
        listed = item.get("properties")
        for child in listed.items if listed is not None else ():
            if isinstance(child.value, dict):
                yield _read(child, logical, Positions(), report, _text(child, "name") or "")
        if listed is None or not listed.items:
            message = "an object needs 'properties': without one nothing of it is read"
            report.error(item.line_of("logicalType"), (*item.path, "logicalType"), message)
        return
    places = ((ITEM, ("items",)),) if word == "array" else ((KEY, ("map", "key")), (VALUE, ("map", "value")))
    for name, keys in places:
        inner = item.get(*keys)
        if inner is not None and isinstance(inner.value, dict):
            yield _read(inner, logical, Positions(), report, name)
        elif word == "array":  # of a map, the standard's schema says what is missing
            message = "an array needs 'items', which says what each of them is"
            report.error(item.line_of("logicalType"), (*item.path, "logicalType"), message)


def _nested_type(word: str, fields: list[Field]) -> pa.DataType:
    if word == "object":
        return pa.struct([(field.name, field.type) for field in fields])
    return pa.list_(fields[0].type) if word == "array" else pa.map_(fields[0].type, fields[1].type)


def _shape(item: Node, word: str, children: tuple[Property, ...], report: Report) -> dict[str, Any]:
    """What an object, array or map must be like beyond what is inside it."""
    options = ("minProperties", "maxProperties") if word == "object" else ("minItems", "maxItems")
    found: dict[str, Any] = {}
    for attribute, key in zip(("min_items", "max_items"), options, strict=True):
        node = item.get("logicalTypeOptions", key)
        if node is not None and isinstance(node.value, int | float):
            found[attribute] = int(node.value)
    distinct = item.get("logicalTypeOptions", "uniqueItems")
    found["unique_items"] = bool(word == "array" and distinct is not None and distinct.flag)
    required = item.get("logicalTypeOptions", "required") if word == "object" else None
    if required is not None:
        names = [child.field.name for child in children]
        for each in required.items:
            if each.string not in names:
                message = f"there is no property '{each.string}' in it.{did_you_mean(each.string or '', names)}"
                report.error(each.line, each.path, message)
        stated = {each.string for each in required.items}
        for child in children:
            if child.field.name in stated:
                child.field = dataclasses.replace(child.field, required=True)
    if word == "map" and children:
        children[0].field = dataclasses.replace(children[0].field, required=True)  # a map has no null keys
    found["children"] = tuple(child.field for child in children)
    return found


def _refuse_inside(item: Node, report: Report) -> None:
    """Refuse what only a property of the row itself can be."""
    for key, what in (
        ("primaryKey", "a primary key is of properties"),
        ("partitioned", "a partition is by one"),
    ):
        node = item.get(key)
        if node is not None and node.flag:
            message = f"{what} of the row itself, not of one inside another"
            report.error(item.line_of(key), node.path, message)
    for key in ("relationships", "quality"):
        node = item.get(key)
        rules = [each for each in (node.items if node is not None else ()) if _text(each, "type") != "text"]
        if node is not None and rules:
            message = f"{key} are judged at properties of the row itself, not at one inside another"
            report.error(item.line_of(key), node.path, message)


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
        "unique": bool((unique := item.get("unique")) and unique.flag),
        "about": _about(item, extensions),
    }


def _text(item: Node, *keys: str) -> str | None:
    node = item.get(*keys)
    return None if node is None else node.string


def _about(item: Node, extensions: Extensions) -> dict[str, Any]:
    about = {key: node.data for key in INFORMING if (node := item.get(key)) is not None}
    physical = item.get("physicalType")
    if physical is not None:
        about["physicalType"] = physical.string
    string_format = item.get("logicalTypeOptions", "format")
    if string_format is not None and _text(item, "logicalType") in (None, "string"):
        about["format"] = string_format.data
    if extensions.others:
        about["customProperties"] = extensions.others
    return about


def _refuse_unsupported(item: Node, logical: str | None, report: Report) -> None:
    if logical in types.NOT_YET:
        supported = ", ".join(types.SUPPORTED)
        line, path = item.line_of("logicalType"), (*item.path, "logicalType")
        report.error(line, path, f"the logicalType '{logical}' is not supported. Supported: {supported}.")
