"""Our custom properties: what the standard has no word for. Those of other tools pass by untouched."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, Literal, get_args

from beam_pipelines.contract.findings import Report, shown
from beam_pipelines.contract.model import Mask, OnFailure, OnSchemaChange, parse_mask
from beam_pipelines.contract.odcs.yaml_tree import Node
from beam_pipelines.errors import did_you_mean

Level = Literal["property", "schema object", "contract"]

OURS: dict[str, Level] = {
    "eventTime": "property",
    "mask": "property",
    "onFailure": "property",
    "onSchemaChange": "schema object",
    "deduplicate": "schema object",
}
"""Name → where it belongs."""

VENDOR = "beam-pipelines"
"""A custom property whose `vendor` is another is not ours, whatever its name."""


@dataclasses.dataclass(frozen=True)
class Extensions:
    """Our custom properties of one element by name, and the rest as it was."""

    ours: dict[str, Node]
    others: list[Any]

    def event_time(self, report: Report) -> bool:
        return self._flag("eventTime", report)

    def deduplicate(self, report: Report) -> bool:
        return self._flag("deduplicate", report)

    def mask(self, report: Report) -> Mask | None:
        """The mask of a property."""
        node = self.ours.get("mask")
        if node is None:
            return None
        try:
            return parse_mask(node.string or "")
        except ValueError as error:
            report.error(node.line, node.path, str(error))
            return None

    def on_failure(self, report: Report) -> OnFailure:
        node = self.ours.get("onFailure")
        if node is not None and node.value is None:
            return "null"  # written without quotes, as one does
        word: OnFailure = self._word("onFailure", get_args(OnFailure), "reject", report)
        return word

    def on_schema_change(self, report: Report) -> OnSchemaChange:
        word: OnSchemaChange = self._word("onSchemaChange", get_args(OnSchemaChange), "discard_value", report)
        return word

    def _flag(self, name: str, report: Report) -> bool:
        node = self.ours.get(name)
        if node is not None and node.flag is None:
            report.error(node.line, node.path, f"{name} must be true or false, is {shown(node.data)}")
        return node is not None and bool(node.flag)

    def _word(self, name: str, allowed: tuple[str, ...], default: str, report: Report) -> Any:
        node = self.ours.get(name)
        if node is None or node.string in allowed:
            return default if node is None else node.string
        hint = did_you_mean(str(node.data), allowed)
        listed = f" Allowed: {', '.join(allowed)}." if hint.startswith(" Did") else ""
        report.error(node.line, node.path, f"{name} {shown(node.data)} is not allowed.{hint}{listed}")
        return default


def read_extensions(element: Node, level: Level, report: Report) -> Extensions:
    """Read an element's custom properties; one of ours in the wrong place is an error."""
    ours: dict[str, Node] = {}
    others: list[Any] = []
    listed = element.get("customProperties")
    for entry in listed.items if listed is not None else ():
        named, vendor = entry.get("property"), entry.get("vendor")
        name = named.string if named is not None else None
        if named is None or name is None or not isinstance(entry.value, dict) or "value" not in entry.value:
            continue  # the standard's schema says what is missing
        if name not in OURS or (vendor is not None and vendor.string != VENDOR):
            others.append(entry.data)
            _warn_of_near(named, name, vendor, report)
        elif OURS[name] != level:
            where = "a property" if OURS[name] == "property" else "the schema object"
            report.error(named.line, named.path, f"'{name}' belongs in the customProperties of {where}")
        elif name in ours:
            report.error(named.line, named.path, f"'{name}' is there twice; first on line {ours[name].line}")
        else:
            ours[name] = entry.value["value"]
    return Extensions(ours, others)


def _warn_of_near(named: Node, name: str, vendor: Node | None, report: Report) -> None:
    if vendor is not None or name in OURS:
        return
    squeezed = name.replace("_", "").replace("-", "").lower()
    same = [ours for ours in OURS if ours.lower() == squeezed]
    near = same or difflib.get_close_matches(name, OURS, n=1, cutoff=0.75)
    if near:
        message = f"'{name}' is none of ours and has no effect. Did you mean '{near[0]}'?"
        report.warning(named.line, named.path, message)
