"""Two contracts compared: each change with the directions of compatibility that it breaks.

A contract accepts a set of rows. It is backward compatible when every row that the old one takes is taken by
the new one, so that what was written before can be read; forward compatible when every row that the new one
takes is taken by the old one, so that readers may lag behind. Widening a rule breaks the latter, narrowing it
the former. The words are those of schema registries
(https://docs.confluent.io/platform/current/schema-registry/fundamentals/schema-evolution.html).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from beam_pipelines.contract.compare.rules import NARROWER, OTHER, SAME, WIDER, Verdict, attribute_changes
from beam_pipelines.contract.field import Field, child_path
from beam_pipelines.contract.findings import shown
from beam_pipelines.contract.model import Contract

Compatibility = Literal["backward", "forward", "full"]

_CLOSED = ("freeze", "discard_row")


@dataclasses.dataclass(frozen=True)
class Change:
    """One difference. `backward` and `forward` tell which direction it breaks; neither, if it breaks none."""

    path: str
    message: str
    backward: bool = False
    forward: bool = False

    def __str__(self) -> str:
        broken = [name for name in ("backward", "forward") if getattr(self, name)]
        kind = f"breaks {' and '.join(broken)}" if broken else "compatible"
        return f"{kind}: {self.path}: {self.message}" if self.path else f"{kind}: {self.message}"


def compare(old: Contract, new: Contract) -> list[Change]:
    """Return what changed, in the order of the new contract's fields; fields are told apart by name.

    >>> import pyarrow as pa
    >>> old = Contract("orders", (Field("id", pa.int32()),))
    >>> new = Contract("orders", (Field("id", pa.int64(), required=True), Field("note", pa.string())))
    >>> for change in compare(old, new):
    ...     print(change)
    breaks forward: id: type int32 became int64
    breaks backward: id: required false became true
    compatible: note: added
    """
    return [*_of_contract(old, new), *_of_fields(old.fields, new.fields, old, new, None)]


def breaking(changes: Sequence[Change], compatibility: Compatibility) -> list[Change]:
    """Return the changes that break a compatibility; `full` is both directions."""
    wanted = ("backward", "forward") if compatibility == "full" else (compatibility,)
    return [change for change in changes if any(getattr(change, name) for name in wanted)]


def _of_contract(old: Contract, new: Contract) -> Iterator[Change]:
    if old.name != new.name:
        yield Change("", f"name {shown(old.name)} became {shown(new.name)}")
    if old.version != new.version:
        yield Change("", f"version {old.version} became {new.version}")
    if old.primary_key != new.primary_key:
        told = f"primary key ({', '.join(old.primary_key)}) became ({', '.join(new.primary_key)})"
        yield Change("", told, backward=True, forward=True)
    times = [None if each.event_time is None else each.event_time.name for each in (old, new)]
    if times[0] != times[1]:
        yield Change("", f"event time {times[0] or 'none'} became {times[1] or 'none'}", backward=True, forward=True)
    if old.partition_by != new.partition_by:
        yield Change("", f"partition columns ({', '.join(old.partition_by)}) became ({', '.join(new.partition_by)})")
    if old.deduplicate != new.deduplicate:
        yield Change("", f"deduplicate {_word(old.deduplicate)} became {_word(new.deduplicate)}")
    if old.on_schema_change != new.on_schema_change:
        closes, opens = _closes(old, new), _closes(new, old)
        told = f"on_schema_change {old.on_schema_change} became {new.on_schema_change}"
        yield Change("", told, backward=closes, forward=opens)
    yield from _listed("quality rule", [str(each) for each in old.quality if each.severity == "error"],
                       [str(each) for each in new.quality if each.severity == "error"])  # fmt: skip
    yield from _listed("relationship", list(map(str, old.relationships)), list(map(str, new.relationships)))
    for name in sorted({each.name for each in old.measures} - {each.name for each in new.measures}):
        yield Change("", f"measure {name} removed", forward=True)


def _closes(old: Contract, new: Contract) -> bool:
    return new.on_schema_change in _CLOSED and old.on_schema_change not in _CLOSED


def _listed(what: str, old: list[str], new: list[str]) -> Iterator[Change]:
    """Rules narrow what is accepted."""
    for rule in old:
        if rule not in new:
            yield Change("", f"{what} removed: {rule}", forward=True)
    for rule in new:
        if rule not in old:
            yield Change("", f"{what} added: {rule}", backward=True)


def _of_fields(
    old: Sequence[Field], new: Sequence[Field], before: Contract, after: Contract, inside: tuple[Field, str] | None
) -> Iterator[Change]:
    known = {field.name: field for field in old}
    for field in new:
        path = field.name if inside is None else child_path(inside[0], field, inside[1])
        if field.name in known:
            yield from _of_field(known[field.name], field, path, before, after)
        else:
            # Rows of old don't have it; those of new meet an old contract that doesn't know it.
            yield Change(path, "added", _needed(field), before.on_schema_change in _CLOSED)
    there = {field.name for field in new}
    for field in old:
        if field.name not in there:
            path = field.name if inside is None else child_path(inside[0], field, inside[1])
            yield Change(path, "removed", after.on_schema_change in _CLOSED, _needed(field))


def _needed(field: Field) -> bool:
    return field.required or field.event_time


def _of_field(old: Field, new: Field, path: str, before: Contract, after: Contract) -> Iterator[Change]:
    for verdict, message in attribute_changes(old, new):
        if verdict != SAME:
            yield Change(path, message, *_broken(verdict))
    if old.source_name != new.source_name:
        told = f"read from {shown(old.source_name)} became {shown(new.source_name)}"
        yield Change(path, told, backward=True, forward=True)
    for attribute in ("classification", "mask"):
        values: tuple[Any, Any] = getattr(old, attribute), getattr(new, attribute)
        if values[0] != values[1]:
            yield Change(
                path, f"{attribute} {values[0] or 'none'} became {values[1] or 'none'}: what is written changes"
            )
    if bool(old.children) and [type(old.type)] == [type(new.type)]:
        yield from _of_fields(old.children, new.children, before, after, (new, path))


def _broken(verdict: Verdict) -> tuple[bool, bool]:
    return verdict in (NARROWER, OTHER), verdict in (WIDER, OTHER)


def _word(flag: bool) -> str:
    return str(flag).lower()
