"""Batches of other nested types than a contract's: what is inside found by name, and cast where nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from beam_pipelines.columnar.nested import Places, object_of, parts_of, together, valid_of
from beam_pipelines.contract.field import Field

Misfit = Callable[[pa.DataType, Field], str | None]
Cast = Callable[[pa.Array, Field, Places], pa.Array]


def misfits_inside(source: pa.DataType, field: Field, misfit: Misfit, path: str) -> Iterator[tuple[str, str]]:
    """Yield the paths inside a nested type at which values can't become the field's, and why."""
    kind = field.type
    if pa.types.is_null(source):
        return
    if not field.children:
        if reason := misfit(source, field):
            yield path, reason
    elif pa.types.is_struct(kind) and pa.types.is_struct(source):
        names = [each.name for each in source]
        for child in field.children:
            place = f"{path}.{child.name}"
            if names.count(child.name) != 1:
                yield place, "is not there" if child.name not in names else "is there more than once"
            else:
                yield from misfits_inside(source.field(child.name).type, child, misfit, place)
    elif pa.types.is_map(kind) and pa.types.is_map(source):
        yield from misfits_inside(source.key_type, field.children[0], misfit, f"{path}.key")
        yield from misfits_inside(source.item_type, field.children[1], misfit, f"{path}[]")
    elif pa.types.is_list(kind) and _is_list(source):
        yield from misfits_inside(source.value_type, field.children[0], misfit, f"{path}[]")
    else:
        yield path, f"is {source}, the contract says {kind}"


def unknown_inside(source: pa.DataType, field: Field, path: str) -> Iterator[str]:
    """Yield the paths of fields inside a nested type that the contract doesn't have."""
    if pa.types.is_struct(field.type) and pa.types.is_struct(source):
        children = {child.name: child for child in field.children}
        for inner in source:
            if inner.name in children:
                yield from unknown_inside(inner.type, children[inner.name], f"{path}.{inner.name}")
            else:
                yield f"{path}.{inner.name}"
    elif pa.types.is_map(field.type) and pa.types.is_map(source):
        yield from unknown_inside(source.item_type, field.children[1], f"{path}[]")
    elif pa.types.is_list(field.type) and _is_list(source):
        yield from unknown_inside(source.value_type, field.children[0], f"{path}[]")


def cast_inside(values: pa.Array, field: Field, places: Places, cast: Cast) -> pa.Array:
    """Cast values of a type without misfits to the field's, by `cast` where they are plain."""
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), field.type)
    if values.type == field.type:
        return values
    if not field.children:
        return cast(values, field, places)
    if pa.types.is_struct(field.type):
        names = [each.name for each in values.type]
        inner = values.flatten()
        arrays = [
            cast_inside(inner[names.index(child.name)], child, places.field(child), cast) for child in field.children
        ]
        return object_of(arrays, valid_of(values), field.type)
    if not pa.types.is_map(field.type):
        values = values.cast(pa.list_(values.type.value_type))
    parts = parts_of(values)
    sizes = np.bincount(parts.parents, minlength=len(values))
    whole: tuple[pa.Array, ...]
    if pa.types.is_map(field.type):
        keys = cast_inside(parts.values[0], field.children[0], places.keys(parts.parents), cast)
        below = places.entries(parts.parents, parts.values[0])
        whole = (keys, cast_inside(parts.values[1], field.children[1], below, cast))
    else:
        below = places.items(parts.parents, parts.positions)
        whole = (cast_inside(parts.values[0], field.children[0], below, cast),)
    return together(whole, sizes, valid_of(values), field.type)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
