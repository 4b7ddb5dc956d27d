"""Batches → records of a topic or queue: value, key, id, time, headers. Pure: columns in, columns out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.columnar.provenance import PAYLOAD, without_provenance
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import option

ID_HEADER = "beam-pipelines-id"
"""Header or attribute by which readers tell a record that was written twice."""

_PANE = ("window_start", "window_end", "__pane_index")
_OF_AGGREGATES = ("__rows", "__pane_index", "__pane_timing")


@dataclasses.dataclass(frozen=True)
class RecordPlan:
    """Which columns become what. `key`, `id`: columns; `time`: a timestamp column."""

    value: str = "json"
    key: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    time: str | None = None


@dataclasses.dataclass(frozen=True)
class RecordOptions:
    """Options of a URI that say what of a row is written."""

    value: Literal["json", "raw"] = option(
        "json: a row's columns as an object; raw: the payload as it was read, with its key and headers.",
        default="json",
    )
    key: tuple[str, ...] = option(
        "Columns of the key. One that is text is written as it is, another as JSON, several as a JSON array.",
        default=(),
    )
    id: tuple[str, ...] = option(
        "Columns whose hash is a record's id. Default: where the row was read, else the key with the pane's window.",
        default=(),
    )


class Records(NamedTuple):
    """Columns of records; all are as long as the batch."""

    values: pa.Array
    keys: pa.Array
    ids: pa.Array
    millis: pa.Array
    headers: pa.Array | None


def check_plan(plan: RecordPlan, schema: pa.Schema) -> None:
    """Raise UsageError for a column that isn't there, or can't be what it is to be."""
    for role, names in (("key", plan.key), ("id", plan.id), ("time", (plan.time,) if plan.time else ())):
        for name in names:
            if name not in schema.names:
                raise UsageError(f"?{role}: there is no column '{name}' to write.{did_you_mean(name, schema.names)}")
    if plan.time is not None and not pa.types.is_timestamp(schema.field(plan.time).type):
        raise UsageError(f"?time: '{plan.time}' is no timestamp, but {schema.field(plan.time).type}")
    if plan.value == "raw" and PAYLOAD not in schema.names:
        raise UsageError(
            f"?value=raw writes payloads as they were read, and these rows have none ('{PAYLOAD}'): use ?value=json"
        )


def records_of(batch: pa.RecordBatch, plan: RecordPlan) -> Records:
    """Make the records of a batch's rows.

    The id of a row is where it was read (source, partition, position). Without that, or if `id` names columns, it
    is the hash of these, or of the key, with the pane's window and index; without any, of the value. So a row that
    is written again has the same one.

    >>> records = records_of(pa.record_batch({"country": ["DE", None], "n": [1, 2]}), RecordPlan(key=("country",)))
    >>> records.values.to_pylist(), records.keys.to_pylist()
    ([b'{"country":"DE","n":1}', b'{"country":null,"n":2}'], [b'DE', None])
    """
    names = batch.schema.names
    raw = plan.value == "raw"
    if raw:
        values = batch.column(PAYLOAD)
    else:
        own = without_provenance(batch)
        own = own.select([name for name in own.schema.names if name not in _OF_AGGREGATES])
        values = json_text(pa.StructArray.from_arrays(own.columns, fields=list(own.schema))).cast(pa.binary())
    if plan.key:
        keys = _key(batch, plan.key)
    else:
        keys = batch.column("__key") if raw and "__key" in names else pa.nulls(batch.num_rows, pa.binary())
    return Records(
        values,
        keys,
        _ids(batch, plan, values),
        _millis(batch, plan),
        batch.column("__attributes") if raw and "__attributes" in names else None,
    )


def _key(batch: pa.RecordBatch, names: Sequence[str]) -> pa.Array:
    """A key's bytes: a text or bytes as they are, another value as its JSON, several as a JSON array."""
    if len(names) > 1:
        texts = [json_text(batch.column(name)) for name in names]
        commas = texts if len(texts) == 1 else [pc.binary_join_element_wise(*texts, ",")]
        return pc.binary_join_element_wise("[", *commas, "]", "").cast(pa.binary())
    column = batch.column(names[0])
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return column.cast(pa.binary())
    text = json_text(column)
    return pc.if_else(column.is_valid(), text, None).cast(pa.binary())


def _ids(batch: pa.RecordBatch, plan: RecordPlan, values: pa.Array) -> pa.Array:
    names = batch.schema.names
    if not plan.id and "__source" in names and "__position" in names:
        parts = [batch.column("__source").cast(pa.string())]
        if "__partition" in names:
            parts.append(pc.fill_null(batch.column("__partition").cast(pa.string()), "-"))
        return pc.binary_join_element_wise(*parts, batch.column("__position").cast(pa.string()), "/")
    columns = plan.id or plan.key
    if columns:
        columns = (*columns, *(name for name in _PANE if name in names and name not in columns))
        texts = _key(batch, columns) if len(columns) > 1 else json_text(batch.column(columns[0])).cast(pa.binary())
    else:
        texts = values
    return pa.array([hashlib.sha256(text or b"").hexdigest()[:32] for text in texts.to_pylist()], pa.string())


def _millis(batch: pa.RecordBatch, plan: RecordPlan) -> pa.Array:
    """Milliseconds since the epoch; 0 stands for now, as Kafka's clients have it."""
    if plan.time is None:
        return pa.repeat(pa.scalar(0, pa.int64()), batch.num_rows)
    times = batch.column(plan.time).cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    return pc.fill_null(times, 0)
