"""Values inside values: arrays and maps taken apart and put together, and the path of each value in its row."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_pipelines.columnar.failures import HIDDEN, SHOWN_CHARS, Failed, Rows, failed
from beam_pipelines.contract.field import Field

Valid = npt.NDArray[np.bool_]


class Parts(NamedTuple):
    """What arrays or maps hold: for each value inside, which of them it is in, and its place there from 0."""

    parents: Rows
    positions: Rows
    values: tuple[pa.Array, ...]
    """The items of arrays; the keys and the values of maps."""


def parts_of(values: pa.Array) -> Parts:
    """Take an array of lists or maps apart; what a null covers is left out.

    >>> parts = parts_of(pa.array([[7, 8], None, [9]]))
    >>> parts.parents.tolist(), parts.positions.tolist(), parts.values[0].to_pylist()
    ([0, 0, 2], [0, 1, 0], [7, 8, 9])
    """
    inner = (values.keys, values.items) if pa.types.is_map(values.type) else (values.values,)
    offsets = values.offsets.to_numpy().astype(np.int64)
    sizes = np.diff(offsets)
    if values.null_count:
        sizes[~valid_of(values)] = 0
    parents, positions = places_in(sizes)
    if len(parents) == offsets[-1] - offsets[0]:
        return Parts(parents, positions, tuple(part.slice(offsets[0], len(parents)) for part in inner))
    chosen = pa.array(offsets[:-1][parents] + positions)  # a null may cover values: they are no part of it
    return Parts(parents, positions, tuple(part.take(chosen) for part in inner))


def places_in(sizes: Rows) -> tuple[Rows, Rows]:
    """For values in runs of these sizes: the run of each, and its place in it."""
    parents = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    starts = np.cumsum(sizes) - sizes
    return parents, np.arange(len(parents), dtype=np.int64) - np.repeat(starts, sizes)


def together(inner: tuple[pa.Array, ...], sizes: Rows, valid: Valid, kind: pa.DataType) -> pa.Array:
    """Put lists or maps of these sizes together from what is inside them.

    >>> together((pa.array([7, 8]),), np.array([2, 0]), np.array([True, False]), pa.list_(pa.int64())).to_pylist()
    [[7, 8], None]
    """
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    mask = None if valid.all() else pa.array(~valid)
    if pa.types.is_map(kind):
        return pa.MapArray.from_arrays(pa.array(offsets), *inner, type=kind, mask=mask)
    return pa.ListArray.from_arrays(pa.array(offsets), inner[0], type=kind, mask=mask)


def object_of(inner: list[pa.Array], valid: Valid, kind: pa.DataType) -> pa.StructArray:
    """Put objects together from their fields."""
    mask = None if valid.all() else pa.array(~valid)
    return pa.StructArray.from_arrays(inner, fields=list(kind), mask=mask)


def valid_of(values: pa.Array) -> Valid:
    """Which values are not null."""
    found: Valid = values.is_valid().to_numpy(zero_copy_only=False)
    return found


class Places:
    """Where values of a field lie: in which row each, and by what path, as in `lines[2].price`.

    >>> lines = Field.array("lines", Field.object("item", [Field("price", pa.int64())]))
    >>> items = Places(lines).items(np.array([0, 4]), np.array([2, 0]))
    >>> inside = items.field(lines.children[0].children[0])
    >>> inside.paths(np.array([0, 1])).to_pylist(), inside.rows(np.array([0, 1])).tolist()
    (['lines[2].price', 'lines[0].price'], [0, 4])
    """

    def __init__(self, field: Field, start: int = 0, outer: Places | None = None) -> None:
        hidden: bool = outer is not None and outer._hides
        self.sensitive = hidden or field.sensitive
        """Whether values there may not be shown."""
        self._hides: bool = hidden or field.hidden
        self._of = field
        self._start = start
        self._outer = outer
        self._end = ""
        self._parents: Rows | None = None
        self._labels: Rows | pa.Array | None = None

    def field(self, child: Field) -> Places:
        """The places of a field of these objects."""
        return self._inside(child, f".{child.name}", None, None)

    def items(self, parents: Rows, positions: Rows) -> Places:
        """The places of items of these arrays."""
        return self._inside(self._of.children[0], "", parents, positions)

    def entries(self, parents: Rows, keys: pa.Array) -> Places:
        """The places of the values of these maps."""
        return self._inside(self._of.children[1], "", parents, keys)

    def keys(self, parents: Rows) -> Places:
        """The places of the keys of these maps."""
        return self._inside(self._of.children[0], ".key", parents, None)

    def _inside(self, child: Field, end: str, parents: Rows | None, labels: Rows | pa.Array | None) -> Places:
        inside = Places(child, outer=self)
        inside._end, inside._parents, inside._labels = end, parents, labels
        return inside

    def rows(self, at: Rows) -> Rows:
        """The rows in which these of the values lie."""
        if self._outer is None:
            return at + self._start if self._start else at
        return self._outer.rows(at if self._parents is None else self._parents[at])

    def paths(self, at: Rows) -> str | pa.StringArray:
        """The paths of these of the values, of which there are few; the name alone for a row's own."""
        if self._outer is None:
            return self._of.name
        outer = self._outer.paths(at if self._parents is None else self._parents[at])
        starts = [outer] * len(at) if isinstance(outer, str) else outer.to_pylist()
        return pa.array([f"{start}{end}" for start, end in zip(starts, self._ends(at), strict=True)], pa.string())

    def _ends(self, at: Rows) -> list[str]:
        if self._labels is None:
            return [self._end] * len(at)
        if isinstance(self._labels, np.ndarray):
            return [f"[{position}]" for position in self._labels[at].tolist()]
        if self._outer is not None and (self._outer._hides or self._outer._of.children[0].sensitive):
            return [f'["{HIDDEN}"]'] * len(at)
        return [
            f"[{json.dumps(_short(str(key)), ensure_ascii=False)}]"
            for key in self._labels.take(pa.array(at)).to_pylist()
        ]

    def failed(self, at: Rows, rule: str, message: str | pa.Array, values: pa.Array | None = None) -> Failed:
        """Say that these of the values broke a rule; `values` are they, if they may be told."""
        return failed(self.rows(at), rule, self.paths(at), message, values, self.sensitive)


def _short(key: str) -> str:
    return key if len(key) <= SHOWN_CHARS else f"{key[: SHOWN_CHARS - 1]}…"
