"""Decoding as a Beam transform."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.formats import AUTO, check_format_name, decode


class DecodeBatches(beam.PTransform):
    """Decode raw batches into the contract's columns: PCollection[RecordBatch] to PCollection[RecordBatch].

    Rows that can't be decoded stay, with nulls and `__failures`; ValidateBatches refuses them. `format`
    is `jsonl`, `csv`, or `auto` for what each batch says of itself; `dialect` is for CSV only. See `decode`.
    """

    def __init__(self, contract: Contract, format: str = AUTO, dialect: CsvDialect | None = None) -> None:
        super().__init__()
        check_format_name(format)
        self._contract = contract
        self._format = format
        self._dialect = dialect or CsvDialect()

    def expand(self, pcoll: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        return pcoll | beam.ParDo(_Decode(self._contract, self._format, self._dialect)).with_output_types(
            pa.RecordBatch
        )


class _Decode(beam.DoFn):
    def __init__(self, contract: Contract, format: str, dialect: CsvDialect) -> None:
        self._contract = contract
        self._format = format
        self._dialect = dialect

    def process(self, element: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        yield decode(element, self._contract, self._format, self._dialect)
