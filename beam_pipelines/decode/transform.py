"""Decoding as a Beam transform."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.fixed_width import FixedWidthLayout
from beam_pipelines.decode.formats import AUTO, check_format_name, decode
from beam_pipelines.decode.poison import decode_around_poison


class DecodeBatches(beam.PTransform):
    """Decode raw batches into the contract's columns: PCollection[RecordBatch] to PCollection[RecordBatch].

    Rows that can't be decoded stay, with nulls and `__failures`; ValidateBatches refuses them. So does a row that makes
    the decoder itself fail three times (`decode.failed`): the others of its batch go on. `format`
    is `jsonl`, `csv`, `fixed`, `xml`, or `auto` for what each batch says of itself; columns of Parquet, ORC
    and Avro files are known as such. `dialect` is for CSV only, `layout` for fixed-width lines. See `decode`.
    """

    def __init__(
        self,
        contract: Contract,
        format: str = AUTO,
        dialect: CsvDialect | None = None,
        layout: FixedWidthLayout | None = None,
    ) -> None:
        super().__init__()
        check_format_name(format)
        self._contract = contract
        self._format = format
        self._dialect = dialect or CsvDialect()
        self._layout = layout
        if layout is not None:
            layout.check(contract)

    def expand(self, pcoll: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        decode_each = _Decode(self._contract, self._format, self._dialect, self._layout)
        return pcoll | beam.ParDo(decode_each).with_output_types(pa.RecordBatch)


class _Decode(beam.DoFn):
    def __init__(self, contract: Contract, format: str, dialect: CsvDialect, layout: FixedWidthLayout | None) -> None:
        self._contract = contract
        self._format = format
        self._dialect = dialect
        self._layout = layout

    def process(self, element: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        yield from decode_around_poison(element, self._decode)

    def _decode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return decode(batch, self._contract, self._format, self._dialect, self._layout)
