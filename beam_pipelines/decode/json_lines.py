"""JSON records as typed columns: msgspec parses and checks types, Arrow converts, bad rows say why.

Each payload is one JSON text (RFC 8259) and must be an object. What is decided here:

- a field that is missing and one that is null are the same: null;
- a key that is there twice: the last one counts, as in JavaScript and Python;
- numbers are not strings nor strings numbers, except that a decimal may be written either way;
- 1.0, 1e3 and true are not integers; NaN and Infinity are not JSON; 1e400 is not a finite number;
- integers and decimals lose no digit; dates and timestamps are strings (see `text_times`);
- an object, array or map keeps what fits in it; the path of what doesn't is in its failure (`lines[2].price`);
- of a map's keys that are there twice the last one counts; a key may be of any plain type, as its text;
- a byte order mark before the object is ignored; a row with bytes that are not UTF-8 is refused.

A field of the wrong type costs its row that value only: the others are decoded, so that validation
judges them too. A record that is no object fails as a whole (see `json_refusals`).

What becomes of unknown fields is the contract's `on_schema_change`: `discard_value` ignores them;
`discard_row` fails their row; `freeze` fails the run; `evolve` keeps them as they are written, in the
column `_extra`, as a JSON object for each row; one inside another field goes there by its path. Nothing in
that column is validated or masked.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar import collector
from beam_pipelines.columnar.failures import Failed
from beam_pipelines.columnar.nested import Places
from beam_pipelines.columnar.provenance import EXTRA
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.decoded import Decoded, check_contract, of_unknown_field, refuse_unknown
from beam_pipelines.decode.json_nested import Values
from beam_pipelines.decode.json_refusals import Refusals, Refused, decode_all, object_of, unusable_rows
from beam_pipelines.decode.json_values import NULL, array_of, mistyped_values, type_of, typed

PIECE_ROWS = 2048
"""Rows whose Python objects live at the same time: more would leave the processor's cache (measured:
pieces of 2048 take a fifth less time than all 16384 at once)."""

_Objects = dict[int, dict[str, msgspec.Raw]]
"""By their places in a piece, objects with values as they are written."""


def decode_json_lines(payloads: pa.BinaryArray, contract: Contract) -> Decoded:
    """Decode payloads, one JSON object each, into the contract's columns.

    Raises ContractViolation for an unknown field if the contract is frozen, ContractError for a field of
    a type that can't be read from text.

    >>> from beam_pipelines.contract import Field
    >>> orders = Contract("orders", (Field("id", pa.int64()), Field("note", pa.string())))
    >>> decoded = decode_json_lines(pa.array([b'{"id": 1, "note": "x"}', b'{"id": "1"}']), orders)
    >>> decoded.columns["id"].to_pylist(), decoded.found[0].failures.to_pylist()[0]["message"][-12:]
    ([1, None], 'got a string')
    """
    if payloads.null_count:
        payloads = pc.fill_null(payloads, b"")
    with collector.paused():
        return _plan(contract).decode(payloads)


@functools.lru_cache(maxsize=16)
def _plan(contract: Contract) -> _Plan:
    return _Plan(contract)


class _Plan:
    """A contract compiled: a struct for rows that are as they should be, single fields for the others."""

    def __init__(self, contract: Contract) -> None:
        check_contract(contract, nested=True)
        self.contract = contract
        types = [type_of(field) for field in contract.fields]
        labels = [f"f{place}" for place in range(len(types))]
        blanks = [NULL if kind is msgspec.Raw else None for kind in types]
        self.keys = [field.source_name for field in contract.fields]
        self.known = frozenset(self.keys)
        self.closed = contract.on_schema_change != "discard_value"
        self.nested = {place for place, field in enumerate(contract.fields) if field.children}
        # msgspec matches keys without unescaping them, so it takes none that would need it.
        self.quick = not any(char in '"\\' or char < " " for key in self.keys for char in key)
        fields = list(zip(labels, types, blanks, strict=True))
        renamed = dict(zip(labels, self.keys, strict=True)) if self.quick else None
        self.row_type = msgspec.defstruct("Row", fields, rename=renamed, gc=False)
        closed = msgspec.defstruct("ClosedRow", fields, rename=renamed, gc=False, forbid_unknown_fields=True)
        self.blank = self.row_type()
        self.open_rows = msgspec.json.Decoder(self.row_type)
        self.rows = msgspec.json.Decoder(closed) if self.closed else self.open_rows
        self.objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self.values = [msgspec.json.Decoder(kind) for kind in types]
        # The labels are ours. A comprehension takes half the time of map(attrgetter(label), rows).
        self.take: list[Callable[[Sequence[Any]], list[Any]]] = [
            eval(f"lambda rows: [row.{label} for row in rows]")  # noqa: S307
            for label in labels
        ]

    def decode(self, payloads: pa.BinaryArray) -> Decoded:
        """Decode in pieces; conversions from text are made for whole columns."""
        notes = _Notes(self.contract)
        unusable = unusable_rows(payloads)
        inside = {at: Values(self.contract.fields[at], notes.add_inside if self.closed else None) for at in self.nested}
        pieces: list[list[pa.Array]] = [[] for _ in self.take]
        failures: dict[int, list[Failed]] = {place: [] for place in self.nested}
        for start in range(0, max(len(payloads), 1), PIECE_ROWS):
            rows = self._rows(payloads.slice(start, PIECE_ROWS).to_pylist(), start, unusable, notes)
            for place, (field, take, arrays) in enumerate(zip(self.contract.fields, self.take, pieces, strict=True)):
                if place in inside:
                    places = Places(field, start)
                    arrays.append(inside[place].decode(take(rows), places, failures[place]))
                else:
                    arrays.append(array_of(take(rows), field))

        columns, found = {}, notes.refusals.failures()
        for place, (field, arrays) in enumerate(zip(self.contract.fields, pieces, strict=True)):
            whole = pa.concat_arrays(arrays)
            if place in inside:
                found += failures[place]
                columns[field.name] = whole
                continue
            if place in notes.mistyped:
                found.append(mistyped_values(notes.mistyped[place], field, Places(field)))
            columns[field.name] = typed(whole, field, Places(field), found)
        if self.contract.on_schema_change == "evolve":
            columns[EXTRA] = notes.extra_column(len(payloads))
        return Decoded(columns, found + notes.unknown_fields())

    def _rows(self, lines: list[bytes], start: int, unusable: dict[int, Refused], notes: _Notes) -> list[Any]:
        """One struct for each line; a blank one where there is no object."""
        bad: list[tuple[int, Refused | None]]
        if self.quick:
            rows, bad = decode_all(self.rows.decode, lines, self.blank)
        else:
            rows, bad = [self.blank] * len(lines), [(place, None) for place in range(len(lines))]
        objects: _Objects = {}
        for place, refused in bad:
            if start + place in unusable:
                continue
            found = object_of(lines[place], self.objects, refused)
            if isinstance(found, Refused):
                notes.refusals.add(start + place, found)
            else:
                objects[place] = found
        if self.closed:
            objects = self._without_unknown(objects, lines, rows, start, notes)
        if objects:
            self._mend(objects, rows, start, notes)
        for row in unusable.keys() & range(start, start + len(lines)) if unusable else ():
            rows[row - start] = self.blank
            notes.refusals.add(row, unusable[row])
        return rows

    def _without_unknown(
        self, objects: _Objects, lines: list[bytes], rows: list[Any], start: int, notes: _Notes
    ) -> _Objects:
        """Deal with unknown fields; returns the objects with which something else is wrong too."""
        for place, found in objects.items():
            if not found.keys() <= self.known:
                notes.add_unknown(start + place, {key: found[key] for key in found if key not in self.known})
        if not self.quick:
            return objects
        structs, refused = decode_all(self.open_rows.decode, [lines[place] for place in objects], self.blank)
        places = list(objects)
        for place, row in zip(places, structs, strict=True):
            rows[place] = row
        return {places[at]: objects[places[at]] for at, _ in refused}

    def _mend(self, objects: _Objects, rows: list[Any], start: int, notes: _Notes) -> None:
        """Put in the rows' places structs of the values that are of their type."""
        columns = []
        for field, (key, decoder) in enumerate(zip(self.keys, self.values, strict=True)):
            texts = [found.get(key, NULL) for found in objects.values()]
            values, wrong = decode_all(decoder.decode, texts, None)
            columns.append(values)
            if wrong:
                places = list(objects)
                notes.mistyped[field] += [(start + places[at], bytes(texts[at])) for at, _ in wrong]
        for place, row in zip(objects, map(self.row_type, *columns), strict=True):
            rows[place] = row


class _Notes:
    """What was wrong with single rows, in Python values; there are few of them, or all is slow."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.refusals = Refusals()
        self.mistyped: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        self.unknown: defaultdict[str, list[int]] = defaultdict(list)
        self.extra: dict[int, dict[str, msgspec.Raw]] = {}

    def add_unknown(self, row: int, fields: dict[str, msgspec.Raw]) -> None:
        """Deal with a row's unknown fields as the contract says."""
        if self.contract.on_schema_change == "freeze":
            raise refuse_unknown(next(iter(fields)), self.contract)
        if self.contract.on_schema_change == "evolve":
            self.extra.setdefault(row, {}).update(fields)
        else:
            for name in fields:
                self.unknown[name].append(row)

    def add_inside(self, row: int, path: str, value: msgspec.Raw) -> None:
        """Deal with an unknown field inside another."""
        self.add_unknown(row, {path: value})

    def unknown_fields(self) -> list[Failed]:
        """Failures of rows with fields that the contract doesn't have."""
        return [of_unknown_field(np.array(rows, np.int64), name) for name, rows in self.unknown.items()]

    def extra_column(self, num_rows: int) -> pa.StringArray:
        """The column of unknown fields."""
        texts = {row: msgspec.json.encode(fields) for row, fields in self.extra.items()}
        return pa.array([texts.get(row) for row in range(num_rows)], pa.binary()).cast(pa.string())
