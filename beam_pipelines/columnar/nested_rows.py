"""Objects, arrays and maps as Python has them to nested columns, strictly, one level at a time.

A value that doesn't fit is null and has a failure with its path, as in decoding JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import HIDDEN, Rows
from beam_pipelines.columnar.nested import Places, object_of, places_in, together
from beam_pipelines.columnar.row_values import TYPE_RULE, Failure, column_of, named
from beam_pipelines.contract.field import Field

Unknown = Callable[[int, str, Any], None]
"""Takes note of a field inside another that the contract doesn't have: its row, its path, its value."""


class NestedColumns:
    """Makes columns of nested fields; `failures` gathers (row, failure) of what doesn't fit."""

    def __init__(self, as_mapping: Callable[[Any], Any], unknown: Unknown | None = None) -> None:
        self.failures: list[tuple[int, Failure]] = []
        self._as_mapping = as_mapping
        self._unknown = unknown

    def column(self, values: list[Any], field: Field) -> pa.Array:
        """Make a column of a row's own field.

        >>> made = NestedColumns(lambda value: value)
        >>> made.column([[1, "x"], None], Field.array("tags", Field("item", pa.int64()))).to_pylist()
        [[1, None], None]
        >>> made.failures[0][1]["field"]
        'tags[1]'
        """
        return self._column(values, field, Places(field))

    def _column(self, values: list[Any], field: Field, places: Places) -> pa.Array:
        if pa.types.is_struct(field.type):
            return self._objects(values, field, places)
        if field.children:
            return self._several(values, field, places)
        column, wrong = column_of(values, field)
        for place, failure in wrong.items():
            self._refuse(place, failure["message"], failure["value"], places)
        return column

    def _refuse(self, place: int, message: str | None, value: str | None, places: Places) -> None:
        at = np.array([place], np.int64)
        path = places.paths(at)
        self.failures.append(
            (
                int(places.rows(at)[0]),
                {
                    "rule": TYPE_RULE,
                    "field": path if isinstance(path, str) else path[0].as_py(),
                    "value": HIDDEN if value is not None and places.sensitive else value,
                    "message": message,
                },
            )
        )

    def _objects(self, values: list[Any], field: Field, places: Places) -> pa.Array:
        mappings = [None if value is None else self._as_mapping(value) for value in values]
        for place, mapping in enumerate(mappings):
            if mapping is not None and not isinstance(mapping, Mapping):
                self._refuse(place, f"expected an object, got {named(mapping)}", None, places)
                mappings[place] = None
        if self._unknown is not None:
            known = {name for child in field.children for name in (child.name, child.source_name)}
            for place, mapping in enumerate(mappings):
                if mapping is None:
                    continue
                for name in [each for each in mapping if each not in known]:
                    path = places.paths(np.array([place]))
                    start = path if isinstance(path, str) else path[0].as_py()
                    self._unknown(int(places.rows(np.array([place]))[0]), f"{start}.{name}", mapping[name])
        valid = np.array([mapping is not None for mapping in mappings], np.bool_)
        arrays = []
        for child in field.children:
            inner = [{} if mapping is None else mapping for mapping in mappings]
            found = [each.get(child.source_name, each.get(child.name)) for each in inner]
            arrays.append(self._column(found, child, places.field(child)))
        return object_of(arrays, valid, field.type)

    def _several(self, values: list[Any], field: Field, places: Places) -> pa.Array:
        is_map = pa.types.is_map(field.type)
        listed: list[Any] = []
        for place, value in enumerate(values):
            items = self._entries(value) if is_map else value if isinstance(value, list | tuple) else None
            if value is not None and items is None:
                what = "a map" if is_map else "an array"
                self._refuse(place, f"expected {what}, got {named(value)}", None, places)
            listed.append(items)
        valid = np.array([items is not None for items in listed], np.bool_)
        sizes = np.array([len(items) if items else 0 for items in listed], np.int64)
        parents, positions = places_in(sizes)
        flat = [item for items in listed if items for item in items]
        if not is_map:
            inner = self._column(flat, field.children[0], places.items(parents, positions))
            return together((inner,), sizes, valid, field.type)
        return self._map(flat, field, parents, sizes, valid, places)

    def _entries(self, value: Any) -> list[tuple[Any, Any]] | None:
        """A map is a mapping, or a list of pairs, as Arrow gives them."""
        plain = self._as_mapping(value)
        if isinstance(plain, Mapping):
            return list(plain.items())
        pairs = isinstance(value, list | tuple) and all(isinstance(each, tuple) and len(each) == 2 for each in value)
        return list(value) if pairs else None

    def _map(
        self, flat: list[tuple[Any, Any]], field: Field, parents: Rows, sizes: Rows, valid: Any, places: Places
    ) -> pa.Array:
        keys = self._column([key for key, _ in flat], field.children[0], places.keys(parents))
        for place, (key, _) in enumerate(flat):
            if key is None:
                self._refuse(place, "the key of a map can't be null", None, places.keys(parents))
        texts = pa.array([str(key) for key, _ in flat], pa.string())
        items = self._column([value for _, value in flat], field.children[1], places.entries(parents, texts))
        if not keys.null_count:
            return together((keys, items), sizes, valid, field.type)
        kept = keys.is_valid()
        lost = pc.invert(kept).to_numpy(zero_copy_only=False)
        sizes = sizes - np.bincount(parents[lost], minlength=len(sizes))
        return together((keys.filter(kept), items.filter(kept)), sizes, valid, field.type)
