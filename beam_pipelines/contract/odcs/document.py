"""A whole document of the Open Data Contract Standard (https://bitol-io.github.io/open-data-contract-standard/)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from beam_pipelines.contract.findings import Path, Report, shown
from beam_pipelines.contract.odcs import standard
from beam_pipelines.contract.odcs.extensions import read_extensions
from beam_pipelines.contract.odcs.objects import SchemaObject, is_measure, read_object
from beam_pipelines.contract.odcs.types import SUPPORTED, logical_type
from beam_pipelines.contract.odcs.yaml_tree import Node, read_tree
from beam_pipelines.errors import did_you_mean

_READ = frozenset({"version", "kind", "apiVersion", "id", "schema"})
"""Keys of the document that say what the rows are; those beside them inform and are carried along."""

_INFORMING_KEYS = frozenset(
    "id description businessName tags authoritativeDefinitions synonyms examples deprecated "  # noqa: SIM905
    "criticalDataElement encryptedName transformSourceObjects transformLogic transformDescription context label vendor "
    "dataGranularityDescription".split()
)
"""Keys of elements in which what the standard forbids is no more than worth a warning."""


@dataclasses.dataclass
class Document:
    """A document read: its objects, and what informs on all of them."""

    version: str
    objects: list[SchemaObject]
    about: dict[str, Any]


def read_document(text: str, report: Report, object_name: str | None, choose: bool) -> Document | None:
    """Read the document, or only the object of that name. With `choose`, it must be one object.

    Returns None when there is nothing to read; the report says why.
    """
    root = read_tree(text, report)
    if root is None or not _is_contract(root, report):
        return None
    api_version = _check_version(root, report)
    if api_version is None:
        return None
    chosen = _chosen(root, object_name, choose, report)
    logical = dict(_settle_types(root, api_version, report, chosen))
    _check_standard(root, chosen, report)
    read_extensions(root, "contract", report)
    version = root.get("version")
    about = {key: node.data for key, node in root.value.items() if key not in _READ and node.value is not None}
    about["id"] = node.string if (node := root.get("id")) else None
    objects = [read_object(each, logical, root, report) for each in chosen]
    return Document((version.string if version else None) or "", objects, about)


def _is_contract(root: Node, report: Report) -> bool:
    if not isinstance(root.value, dict):
        report.error(1, (), f"a contract is a mapping, this is {shown(root.data)}")
        return False
    if "dataContractSpecification" in root.value:
        message = (
            "this is a contract of the Data Contract Specification, not of the Open Data Contract Standard: "
            "`datacontract export --format odcs` translates it"
        )
        report.error(root.key_lines["dataContractSpecification"], ("dataContractSpecification",), message)
        return False
    return True


def _check_version(root: Node, report: Report) -> str | None:
    """The version of the standard; None when the document can't be read as any that is known."""
    node = root.get("apiVersion")
    stated = node.string if node is not None else None
    if node is None or stated is None:
        report.error(root.line, (), "'apiVersion' is missing: say which version of the standard it is, as in v3.1.0")
        return "v3.2.0"
    known = standard.known_versions()
    if stated in known:
        return stated
    if re.fullmatch(r"v3\.\d+\.\d+", stated, re.ASCII):
        report.warning(node.line, node.path, f"{stated} is not known here, and read as {known[0]}")
        return known[0]
    message = f"{shown(stated)} is not supported. Supported: v3.x, as in {', '.join(known)}."
    report.error(node.line, node.path, message)
    return None if stated.startswith("v2.") else known[0]


def _chosen(root: Node, object_name: str | None, choose: bool, report: Report) -> list[Node]:
    node = root.get("schema")
    objects = [each for each in node.items if isinstance(each.value, dict)] if node is not None else []
    if not objects:
        report.error(root.line_of("schema"), ("schema",), "there is no schema object: nothing says what a row is")
        return []
    names = [_name(each) for each in objects]
    if object_name is not None:
        found = [each for each in objects if object_name in (_name(each), _physical_name(each))]
        if not found:
            message = f"there is no schema object '{object_name}'.{did_you_mean(object_name, filter(None, names))}"
            report.error(root.line_of("schema"), ("schema",), message)
        return found[:1]
    if choose and len(objects) > 1:
        listed = ", ".join(name or "?" for name in names)
        message = f"there are {len(objects)} schema objects ({listed}): say which, as in contract.yaml#{names[0]}"
        report.error(root.line_of("schema"), ("schema",), message)
        return []
    return objects


def _name(node: Node) -> str:
    return (name.string if (name := node.get("name")) else None) or ""


def _physical_name(node: Node) -> str | None:
    return name.string if (name := node.get("physicalName")) else None


def _settle_types(root: Node, api_version: str, report: Report, chosen: list[Node]) -> Iterator[tuple[int, str | None]]:
    """Yield the logical type of each property by its node's id(), and write in the derived ones.

    The standard's schema takes a property without logicalType for one of every type at once.
    """
    node = root.get("schema")
    needed = _descendants(chosen)
    waiting = [item for each in (node.items if node is not None else ()) for item in _children(each)]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen or not isinstance(item.value, dict):
            continue
        seen.add(id(item))
        waiting += _children(item)
        logical = logical_type(item, api_version)
        yield id(item), logical
        if item.get("logicalType") is None:
            item.value["logicalType"] = Node(item.line, logical or "boolean")  # the one type with no options
            item.key_lines.setdefault("logicalType", item.line)
            if logical is None and id(item) in needed and not is_measure(item):
                message = f"'logicalType' is missing, and no physicalType tells it. Supported: {', '.join(SUPPORTED)}."
                report.error(item.line, item.path, message)


def _descendants(objects: list[Node]) -> set[int]:
    """The id() of each property of the objects, at any depth."""
    found: set[int] = set()
    waiting = [item for each in objects for item in _children(each)]
    while waiting:
        item = waiting.pop()
        if id(item) not in found:
            found.add(id(item))
            waiting += _children(item)
    return found


def _children(node: Node) -> list[Node]:
    nested = (node.get("items"), node.get("map", "key"), node.get("map", "value"))
    listed = node.get("properties")
    return [*filter(None, nested), *(listed.items if listed is not None else ())]


def _check_standard(root: Node, chosen: list[Node], report: Report) -> None:
    """Add what the standard's schema forbids, but for objects that are not asked for."""
    asked_for = {each.path for each in chosen}
    for line, path, message in standard.violations(root):
        if path == ("apiVersion",) or message == "'apiVersion' is missing":
            continue  # told in better words already
        if len(path) > 1 and path[0] == "schema" and path[:2] not in asked_for:
            continue
        report.add(line, "warning" if _informs(path) else "error", path, message)


def _informs(path: Path) -> bool:
    """Tell whether the place only informs: one can run a contract whose team is misspelt."""
    if path and path[0] in standard.schema()["properties"] and path[0] not in _READ:
        return True
    return any(step in _INFORMING_KEYS for step in path[2:])
