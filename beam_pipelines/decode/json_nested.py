"""JSON objects, arrays and maps as nested columns, one level at a time: what is inside is a column too.

A value that is none of its type costs only itself: it is null, and has a failure with its path.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from beam_pipelines.columnar.failures import Failed, Rows
from beam_pipelines.columnar.nested import Places, object_of, places_in, together
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.values import is_nested
from beam_pipelines.decode.decoded import TYPE
from beam_pipelines.decode.json_refusals import decode_all
from beam_pipelines.decode.json_values import NULL, Wrong, array_of, kind_of, mistyped_values, type_of, typed
from beam_pipelines.decode.text_values import expected, from_text

Unknown = Callable[[int, str, msgspec.Raw], None]
"""Takes note of a field that the contract doesn't have: its row, its path, its value."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw] | None)


class Values:
    """Decodes the JSON values of one field, whatever is inside them.

    >>> tags = Values(Field.array("tags", Field("item", pa.int64())))
    >>> found = []
    >>> tags.decode([msgspec.Raw(b"[1, 2]"), msgspec.Raw(b'[3, "x"]'), NULL], Places(tags.field), found).to_pylist()
    [[1, 2], [3, None], None]
    >>> found[0].failures.to_pylist()[0]["field"]
    'tags[1]'
    """

    def __init__(self, field: Field, unknown: Unknown | None = None) -> None:
        self.field = field
        self.unknown = unknown
        self.inside = [Values(child, unknown) for child in field.children]
        kind = field.type
        self.plain = not is_nested(kind)
        self.type = type_of(field)
        if self.plain:
            self.decoder = msgspec.json.Decoder(self.type)
        elif pa.types.is_struct(kind):
            self._prepare_object()
        else:
            item = self.inside[-1].type
            several = dict[str, item] if pa.types.is_map(kind) else list[item]  # type: ignore[valid-type]
            self.decoder = msgspec.json.Decoder(several | None)

    def _prepare_object(self) -> None:
        keys = [child.source_name for child in self.field.children]
        labels = [f"f{place}" for place in range(len(keys))]
        kinds = [values.type for values in self.inside]
        fields = [
            (label, kind, NULL if kind is msgspec.Raw else None) for label, kind in zip(labels, kinds, strict=True)
        ]
        # msgspec matches keys without unescaping them, so it takes none that would need it.
        self.quick = not any(char in '"\\' or char < " " for key in keys for char in key)
        self.row_type = msgspec.defstruct(
            "Inner",
            fields,
            rename=dict(zip(labels, keys, strict=True)) if self.quick else None,
            gc=False,
            forbid_unknown_fields=self.unknown is not None,
        )
        self.keys, self.labels = keys, labels
        self.decoder = msgspec.json.Decoder(self.row_type | None)
        self.blank = self.row_type()

    def decode(self, texts: Sequence[Any], places: Places, found: list[Failed]) -> pa.Array:
        """Decode values as they are written into an array of the field's type; failures go to `found`."""
        if self.plain:
            values, wrong = decode_all(self.decoder.decode, texts, None)
            self._refuse([(at, bytes(texts[at])) for at, _ in wrong], places, found)
            return self.finish(values, places, found)
        if pa.types.is_struct(self.field.type):
            return self._objects(texts, places, found)
        return self._several(texts, places, found)

    def finish(self, values: list[Any], places: Places, found: list[Failed]) -> pa.Array:
        """Make an array of what msgspec made of the values: what is nested is still as it is written."""
        if not self.plain:
            return self.decode(values, places, found)
        return typed(array_of(values, self.field), self.field, places, found)

    def _refuse(self, wrong: list[Wrong], places: Places, found: list[Failed]) -> None:
        if not wrong:
            return
        if self.plain:
            found.append(mistyped_values(wrong, self.field, places))
            return
        what = "an array" if pa.types.is_list(self.field.type) else "an object"
        at = np.array([place for place, _ in wrong], np.int64)
        messages = [f"expected {what}, got {kind_of(value)}" for _, value in wrong]
        found.append(places.failed(at, TYPE, pa.array(messages, pa.string())))

    def _objects(self, texts: Sequence[Any], places: Places, found: list[Failed]) -> pa.Array:
        if self.quick:
            rows, bad = decode_all(self.decoder.decode, texts, self.blank)
        else:
            rows, bad = [self.blank] * len(texts), [(at, None) for at in range(len(texts))]
        wrong: list[Wrong] = []
        misfits: list[list[Wrong]] = [[] for _ in self.inside]
        for at, _ in bad:
            rows[at] = self._mended(at, texts[at], places, wrong, misfits)
        self._refuse(wrong, places, found)
        valid = np.fromiter((row is not None for row in rows), np.bool_, len(rows))
        rows = [self.blank if row is None else row for row in rows]
        arrays = []
        for values, label, missed in zip(self.inside, self.labels, misfits, strict=True):
            below = places.field(values.field)
            values._refuse(missed, below, found)
            arrays.append(values.finish([getattr(row, label) for row in rows], below, found))
        return object_of(arrays, valid, self.field.type)

    def _mended(self, at: int, text: Any, places: Places, wrong: list[Wrong], misfits: list[list[Wrong]]) -> Any:
        """An object in which something is not as it should be, or None if it is no object."""
        [members], refused = decode_all(_OBJECT.decode, [text], None)
        if refused:
            wrong.append((at, bytes(text)))
        if members is None:
            return None
        if self.unknown is not None:
            for key in members.keys() - set(self.keys):
                [row] = places.rows(np.array([at])).tolist()
                path = places.paths(np.array([at]))
                start = path if isinstance(path, str) else path[0].as_py()
                self.unknown(row, f"{start}.{key}", members[key])
        made = []
        for values, key, missed in zip(self.inside, self.keys, misfits, strict=True):
            value = members.get(key, NULL)
            if values.plain:
                [made_of_it], refused = decode_all(values.decoder.decode, [value], None)
                if refused:
                    missed.append((at, bytes(value)))
                value = made_of_it
            made.append(NULL if value is None and values.type is msgspec.Raw else value)
        return self.row_type(*made)

    def _several(self, texts: Sequence[Any], places: Places, found: list[Failed]) -> pa.Array:
        """Arrays and maps: what is in all of them is one column."""
        kind = self.field.type
        is_map = pa.types.is_map(kind)
        listed, bad = decode_all(self.decoder.decode, texts, None)
        wrong: list[Wrong] = []
        misfits: list[tuple[int, int, bytes]] = []
        for at, _ in bad:
            listed[at] = self._mended_several(at, texts[at], wrong, misfits)
        self._refuse(wrong, places, found)
        valid = np.fromiter((each is not None for each in listed), np.bool_, len(listed))
        sizes = np.fromiter((len(each) if each else 0 for each in listed), np.int64, len(listed))
        parents, positions = places_in(sizes)
        child = self.inside[-1]
        if not is_map:
            below = places.items(parents, positions)
            values = list(itertools.chain.from_iterable(each for each in listed if each))
            self._refuse_inside(misfits, sizes, child, below, found)
            return together((child.finish(values, below, found),), sizes, valid, kind)
        keys = list(itertools.chain.from_iterable(each for each in listed if each))
        keys_array = pa.array(keys, pa.string())
        below = places.entries(parents, keys_array)
        values = list(itertools.chain.from_iterable(each.values() for each in listed if each))
        self._refuse_inside(misfits, sizes, child, below, found)
        items = child.finish(values, below, found)
        return self._map(keys_array, items, parents, sizes, valid, places, found)

    def _mended_several(self, at: int, text: Any, wrong: list[Wrong], misfits: list[tuple[int, int, bytes]]) -> Any:
        """An array or map in which something is not as it should be, or None if it is none."""
        is_map = pa.types.is_map(self.field.type)
        [found], refused = decode_all((_OBJECT if is_map else _ARRAY).decode, [text], None)
        if refused:
            wrong.append((at, bytes(text)))
        child = self.inside[-1]
        if found is None or not child.plain:
            return found
        raws = list(found.values()) if is_map else found
        values, bad = decode_all(child.decoder.decode, raws, None)
        misfits += [(at, place, bytes(raws[place])) for place, _ in bad]
        if child.type is msgspec.Raw:
            values = [NULL if value is None else value for value in values]
        return dict(zip(found, values, strict=True)) if is_map else values

    @staticmethod
    def _refuse_inside(
        misfits: list[tuple[int, int, bytes]], sizes: Rows, child: Values, below: Places, found: list[Failed]
    ) -> None:
        starts = np.cumsum(sizes) - sizes
        child._refuse([(int(starts[at]) + place, value) for at, place, value in misfits], below, found)

    def _map(
        self,
        texts: pa.StringArray,
        items: pa.Array,
        parents: Rows,
        sizes: Rows,
        valid: Any,
        places: Places,
        found: list[Failed],
    ) -> pa.Array:
        """Put maps together; an entry whose key is none of its type is left out, and its row has a failure."""
        key = self.inside[0].field
        parsed = from_text(texts, key)
        if parsed.invalid is None:
            return together((parsed.values, items), sizes, valid, self.field.type)
        lost = parsed.invalid.to_numpy(zero_copy_only=False)
        at = np.flatnonzero(lost)
        below = places.keys(parents)
        found.append(below.failed(at, TYPE, f"expected {expected(key)}", texts.take(pa.array(at))))
        kept = pa.array(~lost)
        sizes = sizes - np.bincount(parents[lost], minlength=len(sizes))
        return together((parsed.values.filter(kept), items.filter(kept)), sizes, valid, self.field.type)
