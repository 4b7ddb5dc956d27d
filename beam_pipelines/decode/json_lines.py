"""JSON records as typed columns: msgspec parses and checks types, Arrow converts, bad rows say why.

Each payload is one JSON text (RFC 8259) and must be an object. What is decided here:

- a field that is missing and one that is null are the same: null;
- a key that is there twice: the last one counts, as in JavaScript and Python;
- numbers are not strings nor strings numbers, except that a decimal may be written either way;
- 1.0, 1e3 and true are not integers; NaN and Infinity are not JSON; 1e400 is not a finite number;
- integers and decimals lose no digit; dates and timestamps are strings (see `text_times`);
- a byte order mark before the object is ignored; a row with bytes that are not UTF-8 is refused.

A field of the wrong type costs its row that value only: the others are decoded, so that validation
judges them too. A record that is no object fails as a whole (see `json_refusals`).

What becomes of unknown fields is the contract's `on_schema_change`: `discard_value` ignores them;
`discard_row` fails their row; `freeze` fails the run; `evolve` keeps them as they are written, in the
column `_extra`, as a JSON object for each row. Nothing in that column is validated or masked.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import SHOWN_CHARS, Failed, failed
from beam_pipelines.columnar.provenance import EXTRA
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode.bulk import used_bytes
from beam_pipelines.decode.decoded import (
    TYPE,
    Decoded,
    check_contract,
    mistyped,
    of_unknown_field,
    refuse_unknown,
)
from beam_pipelines.decode.json_refusals import Refusals, Refused, decode_all, object_of, unusable_rows
from beam_pipelines.decode.text_values import expected, from_text, integer_range

PIECE_ROWS = 2048
"""Rows whose Python objects live at the same time: more would leave the processor's cache (measured:
pieces of 2048 take a fifth less time than all 16384 at once)."""

_NULL = msgspec.Raw(b"null")
_KINDS = {
    ord('"'): "a string",
    ord("t"): "a boolean",
    ord("f"): "a boolean",
    ord("{"): "an object",
    ord("["): "an array",
    ord("n"): "null",
}
_NUMBER = "a number"

_Objects = dict[int, dict[str, msgspec.Raw]]
"""By their places in a piece, objects with values as they are written."""


def decode_json_lines(payloads: pa.BinaryArray, contract: Contract) -> Decoded:
    """Decode payloads, one JSON object each, into the contract's columns.

    Raises ContractViolation for an unknown field if the contract is frozen, ContractError for a field of
    a type that can't be read from text.

    >>> orders = Contract("orders", (Field("id", pa.int64()), Field("note", pa.string())))
    >>> decoded = decode_json_lines(pa.array([b'{"id": 1, "note": "x"}', b'{"id": "1"}']), orders)
    >>> decoded.columns["id"].to_pylist(), decoded.found[0].failures.to_pylist()[0]["message"][-12:]
    ([1, None], 'got a string')
    """
    if payloads.null_count:
        payloads = pc.fill_null(payloads, b"")
    return _plan(contract).decode(payloads)


@functools.lru_cache(maxsize=16)
def _plan(contract: Contract) -> _Plan:
    return _Plan(contract)


class _Plan:
    """A contract compiled: a struct for rows that are as they should be, single fields for the others."""

    def __init__(self, contract: Contract) -> None:
        check_contract(contract)
        self.contract = contract
        types = [_type_of(field) for field in contract.fields]
        labels = [f"f{place}" for place in range(len(types))]
        blanks = [_NULL if kind is msgspec.Raw else None for kind in types]
        self.keys = [field.source_name for field in contract.fields]
        self.known = frozenset(self.keys)
        self.closed = contract.on_schema_change != "discard_value"
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
        pieces: list[list[pa.Array]] = [[] for _ in self.take]
        for start in range(0, max(len(payloads), 1), PIECE_ROWS):
            rows = self._rows(payloads.slice(start, PIECE_ROWS).to_pylist(), start, unusable, notes)
            for field, take, arrays in zip(self.contract.fields, self.take, pieces, strict=True):
                arrays.append(_array(take(rows), field))

        columns, found = {}, notes.refusals.failures()
        for place, (field, arrays) in enumerate(zip(self.contract.fields, pieces, strict=True)):
            found += notes.mistyped_values(place)
            columns[field.name] = _typed(pa.concat_arrays(arrays), field, found)
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
            texts = [found.get(key, _NULL) for found in objects.values()]
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
        self.extra: dict[int, bytes] = {}

    def add_unknown(self, row: int, fields: dict[str, msgspec.Raw]) -> None:
        """Deal with a row's unknown fields as the contract says."""
        if self.contract.on_schema_change == "freeze":
            raise refuse_unknown(next(iter(fields)), self.contract)
        if self.contract.on_schema_change == "evolve":
            self.extra[row] = msgspec.json.encode(fields)
        else:
            for name in fields:
                self.unknown[name].append(row)

    def mistyped_values(self, place: int) -> list[Failed]:
        """Failures of values that are no values of the field's type."""
        if place not in self.mistyped:
            return []
        field = self.contract.fields[place]
        rows, values = zip(*self.mistyped[place], strict=True)
        by_kind = {first: _message(field, first) for first in {value[0] for value in values}}
        messages = [by_kind[value[0]] for value in values]
        # A character has at most four bytes; one cut in two is dropped with all that isn't shown.
        texts = [value[: 4 * SHOWN_CHARS + 4].decode(errors="ignore") for value in values]
        return [
            failed(
                np.array(rows, np.int64),
                TYPE,
                field.name,
                pa.array(messages, pa.string()),
                pa.array(texts, pa.string()),
                field.sensitive,
            )
        ]

    def unknown_fields(self) -> list[Failed]:
        """Failures of rows with fields that the contract doesn't have."""
        return [of_unknown_field(np.array(rows, np.int64), name) for name, rows in self.unknown.items()]

    def extra_column(self, num_rows: int) -> pa.StringArray:
        """The column of unknown fields."""
        return pa.array([self.extra.get(row) for row in range(num_rows)], pa.binary()).cast(pa.string())


def _type_of(field: Field) -> Any:
    """What msgspec makes of a field's value; text is converted later, for all rows together."""
    kind = field.type
    if pa.types.is_boolean(kind):
        return bool | None
    if pa.types.is_integer(kind):
        low, high = integer_range(kind)
        return Annotated[int, msgspec.Meta(ge=low, le=high)] | None
    if pa.types.is_floating(kind):
        return float | None
    if pa.types.is_decimal(kind):
        return msgspec.Raw
    return str | None


def _array(values: list[Any], field: Field) -> pa.Array:
    kind = field.type
    if pa.types.is_decimal(kind):
        # Joined and split again: no Python object is made for a value. Only an object or array can hold
        # a line break, so the number of parts tells whether the parts are the values.
        parts = pc.split_pattern(pa.array([b"\n".join(values)], pa.string()), "\n").values
        return parts if len(parts) == len(values) else pa.array(list(map(bytes, values)), pa.string())
    return pa.array(values, pa.string() if pa.types.is_temporal(kind) else kind)


def _typed(values: pa.Array, field: Field, found: list[Failed]) -> pa.Array:
    """Convert what msgspec left as text, and note what can't be."""
    if pa.types.is_decimal(field.type):
        values = _decimal_texts(values, field, found)
    elif not pa.types.is_temporal(field.type):
        return values
    parsed = from_text(values, field)
    found += mistyped(parsed, values, field)
    return parsed.values


def _decimal_texts(texts: pa.StringArray, field: Field, found: list[Failed]) -> pa.StringArray:
    """JSON values as texts of decimals: numbers as they are, strings without their quotes, others refused."""
    used = used_bytes(texts)
    if not ((used > ord("9")) | (used == ord('"'))).any():
        return texts
    starts = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts)]
    firsts = used[starts - starts[:1]]
    tokens = texts
    is_string = pa.array(firsts == ord('"'))
    texts = pc.if_else(is_string, pc.utf8_slice_codeunits(texts, 1, -1), texts)
    escaped = pc.and_(is_string, pc.match_substring(texts, "\\"))
    if pc.any(escaped, min_count=0).as_py():
        plain = [msgspec.json.decode(token, type=str) for token in tokens.filter(escaped).to_pylist()]
        texts = pc.replace_with_mask(texts, escaped, pa.array(plain, pa.string()))
    for first in map(ord, "tf{["):
        rows = np.flatnonzero(firsts == first)
        if rows.size:
            wrong = texts.take(pa.array(rows))
            found.append(failed(rows, TYPE, field.name, _message(field, first), wrong, field.sensitive))
    usable = pa.array(~np.isin(firsts, list(map(ord, "tf{[n"))))
    return pc.if_else(usable, texts, None)


def _message(field: Field, first: int) -> str:
    """What was expected, and what kind of JSON value begins with that byte."""
    kind = _KINDS.get(first, _NUMBER)
    numeric = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    return f"expected {expected(field)}" + ("" if kind == _NUMBER and numeric else f", got {kind}")
