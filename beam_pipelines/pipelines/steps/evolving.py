"""The columns of rows as they are written, with the one for fields that a contract under `evolve` doesn't know."""

from __future__ import annotations

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.columnar.provenance import EXTRA
from beam_pipelines.contract import Contract
from beam_pipelines.mask.methods import masked_schema


def row_schema(contract: Contract) -> pa.Schema:
    """Columns of the rows in the lake: the contract's as they are masked, and `_extra` if it keeps unknown fields."""
    schema = masked_schema(contract)
    return schema.append(pa.field(EXTRA, pa.string())) if contract.on_schema_change == "evolve" else schema


def with_extra(rows: beam.PCollection[pa.RecordBatch], contract: Contract) -> beam.PCollection[pa.RecordBatch]:
    """Rows that have `_extra` if the contract keeps unknown fields, though a step before has left it out."""
    if contract.on_schema_change != "evolve":
        return rows
    return rows | "KeepExtra" >> beam.Map(_with_extra).with_output_types(pa.RecordBatch)


def _with_extra(batch: pa.RecordBatch) -> pa.RecordBatch:
    if EXTRA in batch.schema.names:
        return batch
    return batch.append_column(pa.field(EXTRA, pa.string()), pa.nulls(batch.num_rows, pa.string()))
