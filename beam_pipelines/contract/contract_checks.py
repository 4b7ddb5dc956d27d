"""Where the parts of a contract contradict each other: fields, keys, foreign keys, measures, quality rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

from beam_pipelines.contract.checks import Conflict
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.findings import shown
from beam_pipelines.contract.relations import Measure, Relationship
from beam_pipelines.errors import did_you_mean

OnSchemaChange = Literal["evolve", "freeze", "discard_row", "discard_value"]

UNKNOWN_FIELDS = "_extra"
"""Column that `onSchemaChange: evolve` adds; it is `columnar.provenance.EXTRA`, which can't be imported here."""


def contract_conflicts(
    fields: Sequence[Field], deduplicate: bool, on_schema_change: str
) -> Iterator[tuple[int | None, Conflict]]:
    """Yield what contradicts itself between fields, each with the index of the field it is told at."""
    if not fields:
        yield None, Conflict(("fields",), "no fields")
        return
    for attribute, what in (
        ("name", "field '{}' is there {} times"),
        ("primary_key_position", "position {} of the primary key is taken {} times"),
        ("partition_position", "position {} of the partition columns is taken {} times"),
    ):
        for value, places in _repeated(fields, attribute):
            yield places[-1], Conflict((attribute,), what.format(value, len(places)))
    for source, places in _repeated(fields, "source_name"):
        if len({fields[index].name for index in places}) > 1:
            names = ", ".join(fields[index].name for index in places)
            yield places[-1], Conflict(("physical_name",), f"fields {names} are all read from '{source}'")
    times = [index for index, field in enumerate(fields) if field.event_time]
    if len(times) > 1:
        names = ", ".join(fields[index].name for index in times)
        yield times[-1], Conflict(("event_time",), f"more than one field is the event time: {names}")
    if deduplicate and all(field.primary_key_position is None for field in fields):
        yield None, Conflict(("deduplicate",), "deduplicate is set, but no field is a primaryKey")
    if all(field.mask is not None and field.mask.method == "drop" for field in fields):
        yield None, Conflict(("fields",), "every field is dropped by its mask: nothing is left to write")
    elif all(
        field.partition_position is not None or (field.mask is not None and field.mask.method == "drop")
        for field in fields
    ):
        yield None, Conflict(("fields",), "every field is a partition column or dropped: nothing is left for the files")
    if on_schema_change == "evolve" and any(field.name == UNKNOWN_FIELDS for field in fields):
        message = f"with evolve, the column '{UNKNOWN_FIELDS}' holds unknown fields; rename the field of that name"
        yield None, Conflict(("on_schema_change",), message)
    if on_schema_change not in get_args(OnSchemaChange):
        listed = ", ".join(get_args(OnSchemaChange))
        message = f"on_schema_change {shown(on_schema_change)} is not one of {listed}"
        yield None, Conflict(("on_schema_change",), message)
    yield from _of_paths(fields)


def _repeated(fields: Sequence[Field], attribute: str) -> list[tuple[Any, list[int]]]:
    places: dict[Any, list[int]] = defaultdict(list)
    for index, field in enumerate(fields):
        places[getattr(field, attribute)].append(index)
    return [(value, found) for value, found in places.items() if value is not None and len(found) > 1]


def _of_paths(fields: Sequence[Field]) -> Iterator[tuple[int | None, Conflict]]:
    """A field may not be named as the path of one inside another."""
    nested = [field.name for field in fields if field.children]
    for index, field in enumerate(fields):
        owner = next((name for name in nested if field.name.startswith((f"{name}.", f"{name}["))), None)
        if owner is not None:
            yield index, Conflict(("name",), f"field '{field.name}' is named as a path inside '{owner}'")


def relationship_conflict(relationship: Relationship, fields: Sequence[Field]) -> str | None:
    """Say what is wrong with a foreign key; None when it can be looked up."""
    known = {field.name: field for field in fields}
    if not relationship.fields or len(relationship.fields) != len(relationship.to_fields):
        here, there = len(relationship.fields), len(relationship.to_fields)
        return f"{here} fields refer to {there}: a foreign key has as many on both sides, and one at least"
    if not relationship.to:
        return "it names no schema object to refer to"
    for name in relationship.fields:
        if name not in known:
            return f"there is no field '{name}'.{did_you_mean(name, known)}"
        if known[name].children:
            return f"field '{name}' is {known[name].type}; a foreign key is of fields with plain values"
    return None


def measure_conflicts(measures: Sequence[Measure], fields: Sequence[Field]) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with measures, each with the index of its measure."""
    if not measures:
        return
    from beam_pipelines.contract.sql_rules import measure_conflict  # the parser of SQL takes 0.3 s to import

    taken = {field.name.lower() for field in fields}
    for index, measure in enumerate(measures):
        if not measure.name.strip():
            yield index, "a measure needs a name"
        elif measure.name.lower() in taken:
            yield index, f"there is a field or another measure named '{measure.name}'"
        elif (wrong := measure_conflict(measure.sql, fields)) is not None:
            yield index, wrong
        taken.add(measure.name.lower())
