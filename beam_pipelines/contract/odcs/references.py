"""Foreign keys: `relationships` of a property or a schema object, whose ends are named in either of two notations.

Notations: https://bitol-io.github.io/open-data-contract-standard/latest/references. `accounts.owner_id` goes by
names, `schema/accounts_tbl/properties/owner_field` by ids; `other.yaml#…` is in another contract.
"""

from __future__ import annotations

from typing import NamedTuple

from beam_pipelines.contract.findings import Report
from beam_pipelines.contract.odcs.yaml_tree import Node
from beam_pipelines.contract.relations import Relationship
from beam_pipelines.errors import did_you_mean


class Reference(NamedTuple):
    """What one end names: an object and a field in it (nested ones with dots), maybe in another file."""

    file: str | None
    object: str
    field: str


class Found(NamedTuple):
    """A foreign key and where it stands."""

    relationship: Relationship
    node: Node


def read_relationships(element: Node, source: str | None, root: Node, report: Report) -> list[Found]:
    """Read the foreign keys of a schema object, or of its property `source`."""
    listed = element.get("relationships")
    found = []
    for entry in listed.items if listed is not None else ():
        target = entry.get("to")
        start = entry.get("from")
        if not isinstance(entry.value, dict) or target is None or (source is None and start is None):
            continue  # the standard's schema says what is missing
        ends = [_end(node, root, report) for node in _listed(target)]
        if source is not None:
            fields: list[str] = [source]
        else:
            starts = [_end(node, root, report) for node in _listed(start)] if start is not None else []
            fields = [each.field for each in starts if each is not None]
            _check_start(element, entry, [each for each in starts if each is not None], report)
        known = [each for each in ends if each is not None]
        if len(known) != len(ends) or not known:
            continue
        if len({(each.file, each.object) for each in known}) > 1:
            report.error(target.line, target.path, "the fields it refers to are of several schema objects")
            continue
        about = {key: node.data for key, node in entry.value.items() if key not in ("from", "to", "type")}
        first = known[0]
        to = tuple(each.field for each in known)
        found.append(Found(Relationship(tuple(fields), first.object, to, first.file, about), entry))
    return found


def _listed(node: Node) -> list[Node]:
    return node.items if isinstance(node.value, list) else [node]


def _check_start(element: Node, entry: Node, starts: list[Reference], report: Report) -> None:
    name = element.get("name")
    own = None if name is None else name.string
    for each in starts:
        if each.object != own:
            report.error(entry.line_of("from"), entry.path, f"'from' names '{each.object}', and this is '{own}'")


def _end(node: Node, root: Node, report: Report) -> Reference | None:
    """One end of a foreign key; None when the report says what is wrong with it."""
    text = node.string
    if text is None:
        return None
    file, mark, place = text.rpartition("#")
    steps = place.strip("/").split("/")
    by_id = len(steps) > 1
    if by_id:
        if len(steps) < 4 or len(steps) % 2 or steps[0] != "schema" or set(steps[2::2]) != {"properties"}:
            message = f"'{text}' names no property: write schema/OBJECT/properties/PROPERTY, or object.property"
            report.error(node.line, node.path, message)
            return None
        names = steps[1::2]
    else:
        names = place.split(".")
    if len(names) < 2 or not all(names):
        report.error(node.line, node.path, f"'{text}' names no property: write it as object.property")
        return None
    if mark:
        return Reference(file, names[0], ".".join(names[1:]))
    return _resolved(names, by_id, node, root, report)


def _resolved(names: list[str], by_id: bool, node: Node, root: Node, report: Report) -> Reference | None:
    """Look the names up in the document, where the object may be missing: it may be in a contract of its own."""
    objects = root.get("schema")
    items = objects.items if objects is not None else []
    key = "id" if by_id else "name"
    found = _named(items, names[0], key)
    if found is None:
        if by_id:
            report.error(node.line, node.path, f"there is no schema object with the id '{names[0]}'")
            return None
        known = [text for each in items if (text := _text(each, "name"))]
        near = did_you_mean(names[0], known)
        hint = near if near.startswith(" Did") else ""
        message = f"there is no schema object '{names[0]}' in this file, so nothing can be said of what it refers to"
        report.warning(node.line, node.path, message + (f".{hint}" if hint else ""))
        return Reference(None, names[0], ".".join(names[1:]))
    path: list[str] = []
    place = found
    for name in names[1:]:
        listed = place.get("properties")
        inside = listed.items if listed is not None else []
        child = _named(inside, name, key)
        if child is None:
            known = [text for each in inside if (text := _text(each, key))]
            message = f"'{_text(found, 'name')}' has no property '{name}'.{did_you_mean(name, known)}"
            report.error(node.line, node.path, message)
            return None
        path.append(_text(child, "name") or name)
        place = child
    return Reference(None, _text(found, "name") or names[0], ".".join(path))


def _named(items: list[Node], name: str, key: str) -> Node | None:
    return next((each for each in items if _text(each, key) == name), None)


def _text(node: Node, key: str) -> str | None:
    found = node.get(key)
    return None if found is None else found.string
