"""Mask batches in a pipeline."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.columnar.source_watermark import told_by_source
from beam_pipelines.contract.model import Contract
from beam_pipelines.mask.keys import KeyReference, MaskKey
from beam_pipelines.mask.methods import mask_batch, needs_key


class MaskBatches(beam.PTransform):
    """Hide values as the contract says: PCollection of validated batches to one of masked batches.

    Nothing is refused, so there is no outcome to take apart. What each mask does, and which columns
    end here (the raw payload), says `mask_batch`; `masked_schema(contract)` is what comes out. Put it
    after deduplication: masked keys may collide.

    `key` says where pseudonyms find their key, by default in BEAM_PIPELINES_MASK_KEY. The key itself is
    not part of the pipeline: it is read here once, so that a missing or malformed one fails before the
    launch, and again by each worker. UsageError for the key.

    >>> import pyarrow as pa
    >>> from beam_pipelines.contract.model import Field, Mask
    >>> contract = Contract("cards", (Field("number", pa.string(), mask=Mask("keep_last", "4")),))
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     _ = (
    ...         pipeline
    ...         | beam.Create([pa.record_batch({"number": ["4111111111111111"]})])
    ...         | MaskBatches(contract)
    ...         | beam.Map(lambda batch: print(batch.to_pydict()))
    ...     )
    {'number': ['************1111']}
    """

    def __init__(self, contract: Contract, key: KeyReference | None = None) -> None:
        super().__init__()
        self._contract = contract
        self._key = (key or KeyReference()).pinned() if needs_key(contract) else None

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        return batches | "Mask" >> beam.ParDo(_Mask(self._contract, self._key)).with_output_types(pa.RecordBatch)


class _Mask(beam.DoFn):
    def __init__(self, contract: Contract, reference: KeyReference | None) -> None:
        self._contract = contract
        self._reference = reference
        self._key: MaskKey | None = None

    def setup(self) -> None:
        if self._reference is not None:
            self._key = self._reference.resolve()

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        yield told_by_source(mask_batch(batch, self._contract, self._key), batch)
