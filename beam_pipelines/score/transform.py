"""Scoring as a Beam transform: RunInference, over batches."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.ml.inference.base import ModelHandler, ModelMetadata, RunInference

from beam_pipelines import outcome
from beam_pipelines.columnar.changes import Changed, check_columns, told
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.derived import as_contract
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.score import shadow as shadows
from beam_pipelines.score.card import ModelCard
from beam_pipelines.score.loading import LoadedModel, load, read_card
from beam_pipelines.score.scoring import score, scored_contract

STAGE = "ScoreBatches"

_SHADOW = "shadow"
_LAST_GOOD: dict[str, ModelCard] = {}
"""By the path of a transform's first card, the last one in this process that could take its place. Runners make
handlers anew as they like."""

_LOG = logging.getLogger(__name__)


class Scores(NamedTuple):
    """What ScoreBatches returns.

    `good`: scored batches. `dead_letters`: rows that couldn't be scored. `ledger`: entries that account for
    them. `disagreement`: batches of `shadow.SCHEMA`, one for each output and window; none without a shadow.
    """

    good: beam.PCollection[pa.RecordBatch]
    dead_letters: beam.PCollection[pa.RecordBatch]
    ledger: beam.PCollection[LedgerEntry]
    disagreement: beam.PCollection[pa.RecordBatch]


class ScoreBatches(beam.PTransform):
    """Append a model's outputs to rows: PCollection of batches to Scores(good, dead_letters, ledger, disagreement).

    `model` is the path of a model card (see `score.card`), whose features are columns of `of`. The outputs
    are added as columns, with `model_id` and `model_version`. A row with a null in a feature, or for which
    the model raises an error, is a dead letter of rule `score.missing_feature` or `score.failed`. Put it
    before MaskBatches if features are masked; `contract` is what comes out.

    `shadow` is the card of a second model with the same outputs. It scores the same rows, which don't show it:
    `disagreement` counts the rows of each window where an output differs by more than `tolerance`.

    `refresh` is a PCollection of `ModelMetadata(model_id=PATH_OF_A_CARD, model_name=…)`, a side input as Beam's
    WatchFilePattern makes one: while a stream runs, the newest card's model scores. One that doesn't yield what
    the first did, or can't be loaded, is logged and left alone.

    RunInference loads a model once for each worker process. UsageError, before anything runs, for a card that
    isn't right or doesn't fit the rows.
    """

    def __init__(
        self,
        of: Contract | pa.Schema,
        model: str,
        *,
        shadow: str | None = None,
        tolerance: float = 1e-9,
        refresh: beam.PCollection[ModelMetadata] | None = None,
    ) -> None:
        super().__init__()
        self._source = as_contract(of)
        self._card = read_card(model)
        self._shadow = None if shadow is None else read_card(shadow)
        self._tolerance = tolerance
        self._refresh = refresh
        self._contract = scored_contract(self._source, self._card)
        if self._shadow is not None:
            _check_same_outputs(self._card, self._shadow)
            scored_contract(self._source, self._shadow)

    @property
    def contract(self) -> Contract:
        """What comes out."""
        return self._contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Scores:
        together = batches | "OneByOne" >> beam.Map(_alone, self._source).with_output_types(list[pa.RecordBatch])
        handler = _BatchHandler(self._card)
        scored = together | "Score" >> RunInference(handler, model_metadata_pcoll=self._refresh).with_output_types(
            pa.RecordBatch
        )
        if self._shadow is not None:
            scored = (
                scored
                | "AsLists" >> beam.Map(lambda batch: [batch]).with_output_types(list[pa.RecordBatch])
                | "Shadow" >> RunInference(_BatchHandler(self._shadow, beside=True)).with_output_types(pa.RecordBatch)
            )
        settle = _Settle(self._source, self._card, self._shadow, self._tolerance)
        outputs = scored | "Settle" >> beam.ParDo(settle).with_output_types(
            pa.RecordBatch,
            **{
                outcome.DEAD_LETTERS: pa.RecordBatch,
                outcome.LEDGER: LedgerEntry,
                _SHADOW: tuple[tuple[str, str, str, str, str], tuple[int, int, float | None]],
            },
        ).with_outputs(outcome.DEAD_LETTERS, outcome.LEDGER, _SHADOW, main=outcome.GOOD)
        disagreement = (
            outputs[_SHADOW]
            | "SumDisagreement" >> beam.CombinePerKey(shadows.SumDisagreement())
            | "Report" >> beam.Map(shadows.report).with_output_types(pa.RecordBatch)
        )
        return Scores(outputs[outcome.GOOD], outputs[outcome.DEAD_LETTERS], outputs[outcome.LEDGER], disagreement)


def _alone(batch: pa.RecordBatch, source: Contract) -> list[pa.RecordBatch]:
    """A batch as RunInference takes one: it holds many rows already, and isn't to be put with others."""
    check_columns(batch, source, STAGE)
    return [batch]


def _check_same_outputs(card: ModelCard, other: ModelCard) -> None:
    ours, theirs = ({output.name: output.type for output in each.outputs} for each in (card, other))
    if ours != theirs:
        told = [", ".join(f"{name} {kind}" for name, kind in each.items()) for each in (ours, theirs)]
        raise UsageError(f"{other.path} yields {told[1]}; {card.path} yields {told[0]}")


class _BatchHandler(ModelHandler[pa.RecordBatch, pa.RecordBatch, LoadedModel]):
    """Scores batches with a card's model; `beside` another, whose scores and failures it leaves alone."""

    def __init__(self, card: ModelCard, *, beside: bool = False) -> None:
        super().__init__()
        self._first = card
        self._path = card.path
        self._beside = beside

    def load_model(self) -> LoadedModel:
        """Load the newest card's model; if that isn't right, the last one that was."""
        last = _LAST_GOOD.get(self._first.path, self._first)
        if self._path in (self._first.path, last.path):
            return load(self._first if self._path == self._first.path else last)
        try:
            card = read_card(self._path)
            _check_same_outputs(self._first, card)
            if card.features != self._first.features:
                raise UsageError(f"{card.path} reads other features than {self._first.path}")
            model = load(card)
        except UsageError as wrong:
            _LOG.error("The model isn't refreshed, %s goes on: %s", last.path, wrong)
            beam.metrics.Metrics.counter(STAGE, "models_refused").inc()
            return load(last)
        _LAST_GOOD[self._first.path] = card
        return model

    def update_model_path(self, model_path: str | None = None) -> None:
        """Called by RunInference when the side input has a new card."""
        self._path = model_path or self._path

    def run_inference(
        self,
        batch: Sequence[pa.RecordBatch],
        model: LoadedModel,
        inference_args: dict[str, Any] | None = None,  # noqa: ARG002  Beam's signature
    ) -> Iterable[pa.RecordBatch]:
        """Score each batch."""
        for each in batch:
            yield _beside(each, score(each, model), model) if self._beside else score(each, model)

    def get_num_bytes(self, batch: Sequence[pa.RecordBatch]) -> int:
        """Bytes of the batches, for RunInference's metrics."""
        return sum(each.get_total_buffer_size() for each in batch)

    def get_metrics_namespace(self) -> str:
        """Where RunInference counts."""
        return STAGE

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {}

    def should_skip_batching(self) -> bool:
        """Batches are batches already."""
        return True


def _beside(batch: pa.RecordBatch, scored: pa.RecordBatch, model: LoadedModel) -> pa.RecordBatch:
    """The batch as it was, with a shadow's outputs in columns of ours."""
    for output in model.card.outputs:
        place = [place for place, name in enumerate(scored.schema.names) if name == output.name][-1]
        batch = batch.append_column(shadows.PREFIX + output.name, scored.column(place))
    return batch


class _Settle(beam.DoFn):
    """Tells rows that were scored from those that couldn't be."""

    def __init__(self, source: Contract, card: ModelCard, shadow: ModelCard | None, tolerance: float) -> None:
        self._source = source
        self._card = card
        self._shadow = shadow
        self._tolerance = tolerance

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        good, refused = batch, None
        if FAILURES in batch.schema.names:
            whole = pc.is_null(batch.column(FAILURES))
            refused = self._unscored(batch.filter(pc.invert(whole)))
            good = batch.filter(whole).drop_columns([FAILURES])
        if self._shadow is not None and good.num_rows:
            for pair in shadows.compare(good, self._card, self._shadow, self._tolerance):
                yield beam.pvalue.TaggedOutput(_SHADOW, pair)
            good = good.drop_columns([shadows.PREFIX + output.name for output in self._card.outputs])
        yield from told(Changed([good], refused), STAGE, self._source)

    def _unscored(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        names = {output.name for output in self._card.outputs} | {"model_id", "model_version"}
        return batch.drop_columns(
            [name for name in batch.schema.names if name in names or name.startswith(shadows.PREFIX)]
        )
