"""A schema object as a contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from beam_pipelines.contract import contract_checks
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.findings import Report
from beam_pipelines.contract.model import Contract, OnSchemaChange
from beam_pipelines.contract.odcs.extensions import read_extensions
from beam_pipelines.contract.odcs.properties import INFORMING, Positions, Property, read_property
from beam_pipelines.contract.odcs.quality import Quality, read_quality
from beam_pipelines.contract.odcs.references import read_relationships
from beam_pipelines.contract.odcs.yaml_tree import Node
from beam_pipelines.contract.relations import Measure, Relationship
from beam_pipelines.contract.rules import QualityRule, rule_conflicts

_INFORMING = (  # noqa: SIM905  a word a line is no easier to read
    "id businessName tags authoritativeDefinitions synonyms deprecated description physicalName physicalType "
    "dataGranularityDescription context"
).split()
_CUSTOM = {"on_schema_change": "onSchemaChange"}


@dataclasses.dataclass
class SchemaObject:
    """A schema object read; `make` the contract only when the report has no errors."""

    name: str
    properties: list[Property]
    deduplicate: bool
    on_schema_change: OnSchemaChange
    about: dict[str, Any]
    relationships: tuple[Relationship, ...]
    quality: tuple[QualityRule, ...]
    measures: tuple[Measure, ...]

    def make(self, version: str, source: str, about: Mapping[str, Any]) -> Contract:
        """The contract. `about` is what informs on the whole document."""
        return Contract(
            name=self.name,
            fields=tuple(each.field for each in self.properties),
            version=version,
            deduplicate=self.deduplicate,
            on_schema_change=self.on_schema_change,
            source=source,
            about={**about, "schema": self.about},
            relationships=self.relationships,
            quality=self.quality,
            measures=self.measures,
        )


def is_measure(item: Node) -> bool:
    """Tell whether a property is an aggregate over the rows, and so no field of theirs."""
    semantic = item.get("semanticType")
    return semantic is not None and semantic.value == "measure"


def read_object(node: Node, logical: Mapping[int, str | None], root: Node, report: Report) -> SchemaObject:
    """Read a schema object; `logical` has the logical type of each property's node by its id()."""
    extensions = read_extensions(node, "schema object", report)
    listed = node.get("properties")
    every = [item for item in listed.items if isinstance(item.value, dict)] if listed is not None else []
    items = [item for item in every if not is_measure(item)]
    positions = _positions(items, report)
    properties = [read_property(item, logical, place, report) for item, place in zip(items, positions, strict=True)]
    deduplicate, on_change = extensions.deduplicate(report), extensions.on_schema_change(report)
    fields = [each.field for each in properties]
    for index, conflict in contract_checks.contract_conflicts(fields, deduplicate, on_change):
        attribute = _CUSTOM.get(conflict.attributes[0], conflict.attributes[0])
        if index is not None:
            line, path = properties[index].place(attribute)
        elif attribute in extensions.ours:
            line, path = extensions.ours[attribute].line, extensions.ours[attribute].path
        else:
            line, path = node.line_of("properties"), (*node.path, "properties")
        report.error(line, path, conflict.message)
    name = (found.string if (found := node.get("name")) else None) or ""
    complete = all(each.complete for each in properties)
    quality = _quality(node, properties, name, complete, report)
    about = {key: found.data for key in _INFORMING if (found := node.get(key)) is not None}
    if extensions.others:
        about["customProperties"] = extensions.others
    if quality.others:
        about["quality"] = quality.others
    return SchemaObject(
        name,
        properties,
        deduplicate,
        on_change,
        about,
        _relationships(node, properties, root, report),
        tuple(each.rule for each in quality.rules),
        _measures([item for item in every if is_measure(item)], fields, complete, report),
    )


def _quality(node: Node, properties: list[Property], name: str, complete: bool, report: Report) -> Quality:
    """The rules of the object and of its properties; those of a property for other readers stay with it."""
    of_object = read_quality(node, None, report)
    rules = list(of_object.rules)
    for each in properties:
        of_property = read_quality(each.node, each.field, report)
        rules += of_property.rules
        if of_property.others:
            about = {**each.field.about, "quality": of_property.others}
            each.field = dataclasses.replace(each.field, about=about)
    fields = [each.field for each in properties]
    for stated in rules if complete else ():
        for attribute, message in rule_conflicts(stated.rule, fields, name):
            report.error(*stated.place(attribute), message)
    return Quality(rules, of_object.others)


def _relationships(node: Node, properties: list[Property], root: Node, report: Report) -> tuple[Relationship, ...]:
    found = read_relationships(node, None, root, report)
    for each in properties:
        found += read_relationships(each.node, each.field.name, root, report)
    fields = [each.field for each in properties]
    for stated in found:
        wrong = contract_checks.relationship_conflict(stated.relationship, fields)
        if wrong is not None:
            report.error(stated.node.line, stated.node.path, wrong)
    return tuple(stated.relationship for stated in found)


def _measures(items: list[Node], fields: list[Field], complete: bool, report: Report) -> tuple[Measure, ...]:
    measures = []
    for item in items:
        name, logic = item.get("name"), item.get("transformLogic")
        if logic is None or logic.string is None:
            message = "a measure needs 'transformLogic': the aggregate that it is, as in sum(price * quantity)"
            report.error(item.line, item.path, message)
            continue
        told = item.get("description")
        keys = ("logicalType", "physicalType", "logicalTypeOptions", "customProperties", *INFORMING)
        about = {key: found.data for key in keys if (found := item.get(key)) is not None}
        about = {key: value for key, value in about.items() if key not in ("transformLogic", "semanticType")}
        sql, description = logic.string.strip(), told.string if told is not None else None
        measures.append((item, Measure((name.string if name else None) or "", sql, description, about)))
    for index, message in contract_checks.measure_conflicts([each for _, each in measures], fields) if complete else ():
        item = measures[index][0]
        report.error(item.line_of("transformLogic"), (*item.path, "transformLogic"), message)
    return tuple(measure for _, measure in measures)


def _positions(items: list[Node], report: Report) -> list[Positions]:
    keys = _ranks(items, "primaryKey", "primaryKeyPosition", report)
    partitions = _ranks(items, "partitioned", "partitionKeyPosition", report)
    return [Positions(keys.get(i), partitions.get(i)) for i in range(len(items))]


def _ranks(items: list[Node], flag: str, position: str, report: Report) -> dict[int, int]:
    """Index of each property that has the flag → its position; those without one follow in their order."""
    stated: dict[int, int] = {}
    unstated: list[int] = []
    for index, item in enumerate(items):
        node, place = item.get(flag), item.get(position)
        number = int(place.value) if place is not None and isinstance(place.value, int | float) else None
        counts = number is not None and number > 0  # -1, the standard's default, says nothing
        if node is not None and node.flag:
            if counts and number is not None:
                stated[index] = number
            else:
                unstated.append(index)
        elif counts and place is not None:
            report.error(item.line_of(position), place.path, f"{position} {number} without {flag}: true")
    start = max(stated.values(), default=0)
    return stated | {index: start + i for i, index in enumerate(unstated, start=1)}
