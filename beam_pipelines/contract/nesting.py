"""Where objects, arrays and maps contradict themselves, and what a field inside one can't be."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from beam_pipelines.contract import checks, values
from beam_pipelines.contract.checks import Conflict
from beam_pipelines.contract.field import Field, child_path

PATH_CHARACTERS = '.[]"'
"""A path tells fields apart by them, so a name inside an object has none; `physical_name` may."""


def all_field_conflicts(field: Field, path: str | None = None) -> Iterator[tuple[str, Conflict]]:
    """Yield what contradicts itself within a field and those inside it, each with its path.

    >>> inner = Field.object("a", [Field("b", pa.date32(), event_time=True)])
    >>> [(path, conflict.message[:31]) for path, conflict in all_field_conflicts(inner)]
    [('a.b', 'the event time is a field of th')]
    """
    place = field.name if path is None else path
    yield from ((place, conflict) for conflict in checks.field_conflicts(field))
    if path is not None:
        yield from ((place, conflict) for conflict in inside_conflicts(field))
    yield from ((place, conflict) for conflict in nested_conflicts(field))
    for child in field.children:
        yield from all_field_conflicts(child, child_path(field, child, place))


def nested_conflicts(field: Field) -> Iterator[Conflict]:
    """Yield what contradicts itself in an object, array or map, but for what does in a field inside it."""
    if not values.is_nested(field.type):
        for attribute in ("min_items", "max_items"):
            if getattr(field, attribute) is not None:
                yield Conflict((attribute,), f"{attribute} is for arrays, maps and objects, not for {field.type}")
        if field.children:
            yield Conflict(("children",), f"only an object, array or map has fields inside it, not {field.type}")
    else:
        yield from _of_shape(field)
        yield from _of_sizes(field)
    if field.unique_items and not pa.types.is_list(field.type):
        yield Conflict(("unique_items",), f"unique_items is for arrays, not for {field.type}")
    elif field.unique_items and values.is_nested(field.type.value_type):
        yield Conflict(("unique_items",), f"unique_items can't compare items that are {field.type.value_type}")


def inside_conflicts(field: Field) -> Iterator[Conflict]:
    """Yield what a field inside another can't be."""
    roles = (
        ("event_time", "the event time is", field.event_time),
        ("primary_key_position", "a primary key is of", field.primary_key_position is not None),
        ("partition_position", "a partition column is", field.partition_position is not None),
        ("unique", "unique is for", field.unique),
    )
    for attribute, what, given in roles:
        if given:
            yield Conflict((attribute,), f"{what} a field of the row itself, not one inside another")


def _of_shape(field: Field) -> Iterator[Conflict]:
    names = [child.name for child in field.children]
    inner = [child.type for child in field.children]
    if inner != values.inner_types(field.type):
        yield Conflict(("type",), f"the fields inside it don't make up its type {field.type}")
    if values.levels(field.type) > values.MAX_LEVELS:
        deep = values.levels(field.type)
        yield Conflict(("type",), f"it is {deep} objects and arrays deep; at most {values.MAX_LEVELS} are read")
    if field.unique:
        yield Conflict(("unique",), f"unique can't compare values that are {field.type}")
    if field.primary_key_position is not None or field.partition_position is not None:
        role = "primary key" if field.primary_key_position is not None else "partition column"
        attribute = "primary_key_position" if field.primary_key_position is not None else "partition_position"
        yield Conflict((attribute,), f"a {role} is a plain value, not {field.type}")
    if pa.types.is_struct(field.type):
        if not names:
            yield Conflict(("children",), "an object needs a property: without one nothing of it is read")
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Conflict(("children",), f"the field '{name}' is inside it {names.count(name)} times")
        sources = [child.source_name for child in field.children]
        for source in sorted({each for each in sources if sources.count(each) > 1} - set(names)):
            yield Conflict(("children",), f"several fields inside it are read from '{source}'")
        for name in names:
            if set(PATH_CHARACTERS) & set(name):
                characters = " ".join(PATH_CHARACTERS)
                message = f"the name '{name}' inside it holds one of {characters}, of which paths are made"
                yield Conflict(("children",), f"{message}: choose another, and make this one its physicalName")
        if all(child.mask is not None and child.mask.method == "drop" for child in field.children) and names:
            yield Conflict(("children",), "every field inside it is dropped by its mask: drop the field itself")
    else:
        yield from _of_parts(field)
    if set('[]"') & set(field.name):
        yield Conflict(("name",), f"the name '{field.name}' holds one of [ ] \", of which paths are made")


def _of_parts(field: Field) -> Iterator[Conflict]:
    """Items of an array, keys and values of a map."""
    kind = "array" if pa.types.is_list(field.type) else "map"
    for child in field.children:
        if child.mask is not None and child.mask.method == "drop":
            message = f"a mask can't drop the {child.name}s of the {kind}: drop the {kind}, or redact them"
            yield Conflict(("children",), message)
    if kind == "map":
        key = field.children[0]
        if values.is_nested(key.type):
            yield Conflict(("children",), f"the key of a map is a plain value, not {key.type}")
        if key.mask is not None:
            yield Conflict(("children",), "masked keys of a map may collide: mask the map itself by drop or redact")
        if key.on_failure in ("null", "warn"):
            yield Conflict(("children",), f"a key of a map can't do without its value: onFailure {key.on_failure}")


def _of_sizes(field: Field) -> Iterator[Conflict]:
    low, high = field.min_items or 0, field.max_items
    if low < 0 or (high is not None and high < 0):
        name = "min_items" if low < 0 else "max_items"
        yield Conflict((name,), f"{name} must be at least 0, is {getattr(field, name)}")
    elif high is not None and low > high:
        yield Conflict(("min_items", "max_items"), f"min_items {low} is above max_items {high}: no value can pass")
    if pa.types.is_struct(field.type) and low > len(field.children):
        yield Conflict(("min_items",), f"min_items {low} is above the {len(field.children)} fields inside it")
