"""Rows as Python knows them (dicts, Beam Rows, NamedTuples, dataclasses) to batches and back.

Nothing is refused here: what doesn't fit the contract becomes a null and a failure, as in decoding,
to be judged by validation.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.nested_rows import NestedColumns
from beam_pipelines.columnar.provenance import EXTRA, FAILURES, PAYLOAD, PROVENANCE, RECORD_FORMAT
from beam_pipelines.columnar.row_values import TYPE_RULE, Failure, column_of, named, python_values, shown
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.contract.values import is_supported
from beam_pipelines.dead_letters import failure, failures_column
from beam_pipelines.errors import ContractViolation

PUBLISH_TIME = "__publish_time"
UNKNOWN_FIELD_RULE = "schema.unknown_field"


def contract_of(schema: pa.Schema, name: str = "rows") -> Contract:
    """Make a contract that says no more than a schema: names, types, what is required.

    >>> contract_of(pa.schema([pa.field("id", pa.int64(), nullable=False)])).field("id").required
    True
    """
    return Contract(name, tuple(Field(field.name, field.type, required=not field.nullable) for field in schema))


def as_mapping(row: Any) -> Any:
    """Return a row's values by name; what is no row is returned as it is.

    >>> @dataclasses.dataclass
    ... class Order:
    ...     id: int
    >>> as_mapping(Order(7))
    {'id': 7}
    """
    if type(row) is dict or isinstance(row, Mapping):
        return row
    if hasattr(row, "_asdict"):  # NamedTuple, and what Beam decodes Rows to
        return row._asdict()
    if hasattr(row, "as_dict"):  # beam.Row
        return dict(vars(row))
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return row


def payload_of(row: Any) -> bytes:
    """Return a row as JSON: the payload of its dead letter, and the measure of its size. Never raises.

    Decimals, dates and times are strings, bytes are base64; what JSON has no word for is its `str`.

    >>> payload_of({"price": 1.5, "at": None})
    b'{"price":1.5,"at":null}'
    """
    row = as_mapping(row)
    try:
        return _ENCODER.encode(row)
    except Exception:  # lone surrogates, keys of other types, cycles, a foreign __str__
        texts = (
            {shown(key): ascii(shown(value)) for key, value in row.items()} if isinstance(row, Mapping) else shown(row)
        )
        return json.dumps(texts).encode()


def _encodable(value: Any) -> Any:
    plain = as_mapping(value)
    return str(value) if plain is value else plain


_ENCODER = msgspec.json.Encoder(enc_hook=_encodable)


def batch_of(
    rows: Sequence[Any],
    contract: Contract,
    payloads: Sequence[bytes] | None = None,
    micros: Sequence[int | None] | None = None,
) -> pa.RecordBatch:
    """Make a decoded batch: the contract's columns, `__payload` and, if any row failed, `__failures`.

    `micros` are the rows' own timestamps, in microseconds since the epoch: they become `__publish_time`.

    `rows` are dicts, Beam Rows, NamedTuples or dataclasses, with a field under its physical name or its
    own; a missing one is a null. With fields that the contract doesn't know its `onSchemaChange` decides:
    they stay in the payload only, fail the row, go into the column `_extra` as JSON, or raise
    ContractViolation. Values have to fit (failures of rule `type`):

    - integers are ints (never floats or bools); floats are finite, ints are floats too;
    - decimals are Decimals, ints, or floats and strings whose shortest decimal fits the scale;
    - dates are dates or strings as 2024-01-31; timestamps are datetimes or strings as 2024-01-31T10:00:00Z,
      both with a zone (or without one if the contract names a default), Beam Timestamps, or ints of
      microseconds since the epoch. A contract's own format of dates is for files, not for rows;
    - objects are whatever rows are, arrays lists or tuples, maps mappings or lists of pairs; a value inside that
      doesn't fit is null, and its failure has its path.

    >>> contract = contract_of(pa.schema([("id", pa.int64())]))
    >>> batch_of([{"id": 7}], contract).to_pydict()
    {'id': [7], '__payload': [b'{"id":7}']}
    >>> batch_of([{"id": 1.5}], contract).column("__failures").to_pylist()[0][0]["message"]
    'expected an integer (int64), got a float'
    """
    payloads = [payload_of(row) for row in rows] if payloads is None else payloads
    failures: dict[int, list[Failure]] = {}
    mappings = [as_mapping(row) for row in rows]
    for place, mapping in enumerate(mappings):
        if not isinstance(mapping, Mapping):
            message = f"expected a dict, Beam Row, NamedTuple or dataclass, got {named(mapping)}"
            failures[place] = [failure(TYPE_RULE, None, None, message)]
            mappings[place] = {}
    columns = []
    strange_inside: list[tuple[int, str, Any]] = []
    closed = contract.on_schema_change != "discard_value"
    for field in contract.fields:
        if field.children and is_supported(field.type):
            nested = NestedColumns(as_mapping, (lambda *strange: strange_inside.append(strange)) if closed else None)
            columns.append(nested.column(_values(mappings, field), field))
            for place, what in nested.failures:
                failures.setdefault(place, []).append(what)
            continue
        column, wrong = column_of(_values(mappings, field), field)
        columns.append(column)
        for place, what in wrong.items():
            failures.setdefault(place, []).append(what)
    fields = [(field.name, field.type) for field in contract.fields]
    if contract.on_schema_change != "discard_value":
        unknown = _unknown_fields(mappings, contract)
        for place, path, value in strange_inside:
            if contract.on_schema_change == "freeze":
                raise _frozen(path, contract)
            unknown[place][path] = value
        if contract.on_schema_change == "evolve":
            fields.append((EXTRA, pa.string()))
            columns.append(pa.array([_json_text(strange) for strange in unknown], pa.string()))
        else:
            for place, strange in enumerate(unknown):
                for name in strange:
                    what = failure(UNKNOWN_FIELD_RULE, name, None, "is not a field of the contract")
                    failures.setdefault(place, []).append(what)
    fields.append((PAYLOAD, pa.binary()))
    columns.append(pa.array(payloads, pa.binary()))
    if micros is not None:
        fields.append((PUBLISH_TIME, PROVENANCE[PUBLISH_TIME]))
        columns.append(pa.array(micros, pa.int64()).cast(PROVENANCE[PUBLISH_TIME]))
    if failures:
        columns.append(failures_column([failures.get(place) for place in range(len(rows))]))
        fields.append((FAILURES, columns[-1].type))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, metadata={RECORD_FORMAT: b"jsonl"}))


def _values(mappings: list[Any], field: Field) -> list[Any]:
    if field.physical_name is None:
        return [mapping.get(field.name) for mapping in mappings]
    return [mapping.get(field.physical_name, mapping.get(field.name)) for mapping in mappings]


def _unknown_fields(mappings: list[Any], contract: Contract) -> list[dict[str, Any]]:
    """Return what each row has that the contract doesn't know; ContractViolation if the contract is frozen."""
    known = {*contract.names, *(field.source_name for field in contract.fields)}
    unknown = [{shown(name): row[name] for name in row if name not in known} for row in mappings]
    if contract.on_schema_change == "freeze" and (name := next((name for row in unknown for name in row), None)):
        raise _frozen(name, contract)
    return unknown


def _frozen(name: str, contract: Contract) -> ContractViolation:
    return ContractViolation(
        f"unknown field '{name}' in rows of the contract '{contract.name}' {contract.version}, which says "
        "onSchemaChange: freeze. Add the field to the contract, or choose discard_value, discard_row or evolve"
    )


def _json_text(fields: dict[str, Any]) -> str | None:
    return payload_of(fields).decode() if fields else None


def python_columns(batch: pa.RecordBatch, names: Iterable[str]) -> list[list[Any]]:
    """Return columns as lists of Python values; see `row_values.python_values`.

    >>> python_columns(pa.record_batch({"a": [1, None], "b": ["x", "y"]}), ["b", "a"])
    [['x', 'y'], [1, None]]
    """
    return [python_values(batch.column(name), name) for name in names]


def dicts_of(batch: pa.RecordBatch, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a batch's rows as dicts of the named columns, and of the unknown fields in `_extra` if it has it.

    >>> dicts_of(pa.record_batch({"a": [1, None], "b": ["x", "y"]}), ["a"])
    [{'a': 1}, {'a': None}]
    """
    rows = [dict(zip(names, values, strict=True)) for values in zip(*python_columns(batch, names), strict=True)]
    if EXTRA in batch.schema.names and EXTRA not in names:
        extra = batch.column(EXTRA)
        for place in pc.indices_nonzero(extra.is_valid()).to_pylist():
            rows[place] = json.loads(extra[place].as_py()) | rows[place]
    return rows
