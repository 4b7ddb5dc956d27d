"""Masks as functions on batches: what each method leaves of a value. Nulls stay null in all of them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.nested import object_of, parts_of, together, valid_of
from beam_pipelines.columnar.provenance import EXTRA, FAILURES, PAYLOAD, PROVENANCE, RECORD
from beam_pipelines.contract.masks import multiple_of
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.mask.keys import MaskKey
from beam_pipelines.mask.pseudonyms import pseudonymise

REDACTED = "***"

UNMASKED_COLUMNS = frozenset({PAYLOAD, RECORD, FAILURES, "__key", "__attributes"})
"""Columns that hold the clear row, or may; they don't leave this stage."""


def masked_schema(contract: Contract) -> pa.Schema:
    """Return the schema of masked rows, without provenance.

    Dropped fields are gone, pseudonyms are strings, redacted fields that are no strings are nullable.

    >>> from beam_pipelines.contract.model import Mask
    >>> user = Field("user", pa.int64(), required=True, mask=Mask("pseudonym"))
    >>> masked_schema(Contract("c", (user, Field("mail", pa.string(), mask=Mask("drop"))))).to_string()
    'user: string not null'
    """
    return pa.schema([_masked_field(field) for field in contract.fields if not _dropped(field)])


def needs_key(contract: Contract) -> bool:
    """Tell whether any field is masked by a pseudonym."""
    every = (each for field in contract.fields for each in (field, *(inner for _, inner in field.inside())))
    return any(field.mask is not None and field.mask.method == "pseudonym" for field in every)


def mask_batch(batch: pa.RecordBatch, contract: Contract, key: MaskKey | None = None) -> pa.RecordBatch:
    """Return the batch with each field masked as its contract says: columns of `masked_schema`.

    - `drop`: the column is gone.
    - `redact`: strings become `***`, other values null.
    - `keep_last:N`: all but the last N characters (code points) become `*`; a string of N or fewer is
      hidden whole.
    - `generalise:NUMBER`: numbers are rounded down to a multiple of it; a number so low that its
      multiple doesn't fit the type takes the lowest that does. Floats are cut in binary arithmetic.
      For strings NUMBER leading characters are kept, as in postcodes.
    - `generalise:UNIT`: dates and timestamps are cut to the start (in UTC) of their year, quarter, month,
      week (Monday), day or hour.
    - `pseudonym`: see `pseudonymise`; needs a key.

    Fields inside objects and arrays, and values of maps, are masked where they are; a field dropped from an
    object is gone from its type.

    `_extra` passes as it is: a contract that says `onSchemaChange: evolve` lets in fields of which nobody
    knows what they hold. Provenance rides on, but for what holds the clear row: `__payload`, `__key` and
    `__attributes` end here, so a dead letter of a later stage tells where the row is, not what was in it.
    ValueError for rows that were not validated, and for columns that are not in the contract, since
    nobody said what they hold.
    """
    _refuse_strangers(batch, contract)
    schema = masked_schema(contract)
    if key is None and needs_key(contract):
        raise UsageError(f"contract '{contract.name}' has pseudonyms: a mask key is needed")
    arrays = [_masked(batch.column(name), contract.field(name), key) for name in schema.names]
    for name in (EXTRA, *PROVENANCE):
        if name in batch.schema.names and name not in UNMASKED_COLUMNS:
            schema = schema.append(batch.schema.field(name))
            arrays.append(batch.column(name))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _refuse_strangers(batch: pa.RecordBatch, contract: Contract) -> None:
    if FAILURES in batch.schema.names and batch.column(FAILURES).null_count < batch.num_rows:
        raise ValueError("rows that failed decoding reached a mask: put ValidateBatches before MaskBatches")
    known = {
        *contract.names,
        *((EXTRA,) if contract.on_schema_change == "evolve" else ()),
        PAYLOAD,
        RECORD,
        FAILURES,
        *PROVENANCE,
    }
    for name in batch.schema.names:
        if name not in known:
            raise ValueError(
                f"column '{name}' is not in contract '{contract.name}', so it is not known whether it may be shown: "
                "add the field to the contract, or leave the column out before masking." + did_you_mean(name, known)
            )
    for name in contract.names:
        if name not in batch.schema.names:
            raise ValueError(f"contract '{contract.name}' has a field '{name}', the batch has no such column")


def _dropped(field: Field) -> bool:
    return field.mask is not None and field.mask.method == "drop"


def _masked_field(field: Field) -> pa.Field:
    method = field.mask.method if field.mask is not None else None
    emptied = method == "redact" and not pa.types.is_string(field.type)
    kind = pa.string() if method == "pseudonym" else _masked_type(field)
    return pa.field(field.name, kind, nullable=emptied or not field.required)


def _masked_type(field: Field) -> pa.DataType:
    """The type of values in which what is inside is masked."""
    if field.mask is not None or not field.sensitive:
        return field.type
    inner = [_masked_field(child) for child in field.children if not _dropped(child)]
    if pa.types.is_struct(field.type):
        return pa.struct([(each.name, each.type) for each in inner])
    if pa.types.is_list(field.type):
        return pa.list_(inner[0].type)
    return pa.map_(inner[0].type, inner[1].type) if pa.types.is_map(field.type) else field.type


def _masked_inside(values: pa.Array, field: Field, key: MaskKey | None) -> pa.Array:
    kind, valid = _masked_type(field), valid_of(values)
    if pa.types.is_struct(kind):
        pairs = zip(field.children, values.flatten(), strict=True)
        return object_of([_masked(each, child, key) for child, each in pairs if not _dropped(child)], valid, kind)
    parts = parts_of(values)
    inner = tuple(_masked(each, child, key) for child, each in zip(field.children, parts.values, strict=True))
    return together(inner, np.bincount(parts.parents, minlength=len(values)), valid, kind)


def _masked(values: pa.Array, field: Field, key: MaskKey | None) -> pa.Array:
    if values.type != field.type:
        values = values.cast(field.type)
    if field.mask is None:
        return _masked_inside(values, field, key) if field.children and field.sensitive else values
    argument = field.mask.argument
    if field.mask.method == "redact":
        return _redact(values)
    if field.mask.method == "keep_last":
        return _keep_last(values, int(argument or 0))
    if field.mask.method == "pseudonym" and key is not None:
        return pseudonymise(values, key)
    return _generalise(values, argument or "")


def _redact(values: pa.Array) -> pa.Array:
    if not pa.types.is_string(values.type):
        return pa.nulls(len(values), values.type)
    return pc.if_else(values.is_valid(), REDACTED, pa.scalar(None, pa.string()))


def _keep_last(values: pa.Array, shown: int) -> pa.Array:
    length = pc.utf8_length(values)
    hides = pc.greater(length, shown)
    stars = pc.binary_repeat("*", pc.if_else(hides, pc.subtract(length, shown), length))
    tail = pc.if_else(hides, pc.utf8_slice_codeunits(values, start=-shown), "")
    return pc.binary_join_element_wise(stars, tail, "")


def _generalise(values: pa.Array, argument: str) -> pa.Array:
    kind = values.type
    if pa.types.is_date(kind):
        return pc.floor_temporal(values, unit=argument)
    if pa.types.is_timestamp(kind):
        naive = values.cast(pa.timestamp("us"))  # UTC either way, and no zone database is asked
        return pc.floor_temporal(naive, unit=argument).cast(kind)
    if pa.types.is_string(kind):
        return pc.utf8_slice_codeunits(values, start=0, stop=int(argument))
    number = multiple_of(argument)
    if number is None:
        raise ValueError(f"generalise:{argument} is not for {kind}")
    if pa.types.is_floating(kind):
        return _floor_floats(values, Fraction(number))
    multiple = pa.scalar(int(number) if pa.types.is_integer(kind) else number, kind)
    raised = pc.max_element_wise(values, _lowest_multiple(multiple), skip_nulls=False)
    return pc.round_to_multiple(raised, multiple=multiple, round_mode="down")


def _lowest_multiple(multiple: pa.Scalar) -> pa.Scalar:
    """Return the lowest multiple that the type holds: below it rounding down would overflow."""
    kind, step = multiple.type, Fraction(multiple.as_py())
    if pa.types.is_integer(kind):
        lowest = -(2 ** (kind.bit_width - 1))
        return pa.scalar(-(-lowest // int(step)) * int(step), kind)
    unscaled = int(step * 10**kind.scale)
    lowest = -((10**kind.precision - 1) // unscaled) * unscaled
    return pa.scalar(Decimal(f"{lowest}E-{kind.scale}"), kind)  # exact: arithmetic would round to 28 digits


def _floor_floats(values: pa.Array, step: Fraction) -> pa.Array:
    """Round down by whole numbers, so that 0.3 by 0.1 is 0.3: 0.3 / 0.1 is just below 3 in binary."""
    above, below = float(step.numerator), float(step.denominator)
    count = pc.floor(pc.divide(pc.multiply(values, below), above))
    floored = pc.divide(pc.multiply(count, above), below)
    return pc.if_else(pc.is_finite(floored), floored, values).cast(values.type)
