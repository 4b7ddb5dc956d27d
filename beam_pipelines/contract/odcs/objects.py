"""A schema object as a contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from beam_pipelines.contract import checks
from beam_pipelines.contract.findings import Report
from beam_pipelines.contract.model import Contract, OnSchemaChange
from beam_pipelines.contract.odcs.extensions import read_extensions
from beam_pipelines.contract.odcs.properties import Positions, Property, read_property, refuse_relations
from beam_pipelines.contract.odcs.yaml_tree import Node

_INFORMING = (  # noqa: SIM905  a word a line is no easier to read
    "id businessName tags authoritativeDefinitions synonyms deprecated description physicalName physicalType "
    "dataGranularityDescription context quality"
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
        )


def read_object(node: Node, logical: Mapping[int, str | None], report: Report) -> SchemaObject:
    """Read a schema object; `logical` has the logical type of each property's node by its id()."""
    extensions = read_extensions(node, "schema object", report)
    listed = node.get("properties")
    items = [item for item in listed.items if isinstance(item.value, dict)] if listed is not None else []
    positions = _positions(items, report)
    properties = [
        read_property(item, logical.get(id(item)), place, report) for item, place in zip(items, positions, strict=True)
    ]
    deduplicate, on_change = extensions.deduplicate(report), extensions.on_schema_change(report)
    fields = [each.field for each in properties]
    for index, conflict in checks.contract_conflicts(fields, deduplicate, on_change):
        attribute = _CUSTOM.get(conflict.attributes[0], conflict.attributes[0])
        if index is not None:
            line, path = properties[index].place(attribute)
        elif attribute in extensions.ours:
            line, path = extensions.ours[attribute].line, extensions.ours[attribute].path
        else:
            line, path = node.line_of("properties"), (*node.path, "properties")
        report.error(line, path, conflict.message)
    _warn_of_unchecked_key(properties, deduplicate, report)
    refuse_relations(node, report)
    name = node.get("name")
    about = {key: found.data for key in _INFORMING if (found := node.get(key)) is not None}
    if extensions.others:
        about["customProperties"] = extensions.others
    return SchemaObject((name.string if name else None) or "", properties, deduplicate, on_change, about)


def _warn_of_unchecked_key(properties: list[Property], deduplicate: bool, report: Report) -> None:
    for each in properties:
        unique = each.node.get("unique")
        if unique is not None and unique.flag and each.sole_key and not deduplicate:
            message = "nothing makes the key unique: set the custom property deduplicate on the schema object"
            report.warning(each.node.line_of("unique"), unique.path, message)


def _positions(items: list[Node], report: Report) -> list[Positions]:
    keys = _ranks(items, "primaryKey", "primaryKeyPosition", report)
    partitions = _ranks(items, "partitioned", "partitionKeyPosition", report)
    sole = len(keys) == 1
    return [Positions(keys.get(i), partitions.get(i), sole and i in keys) for i in range(len(items))]


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
