"""Scoring a batch: the outputs of a model as columns, and rows it can't score with their failures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_pipelines.columnar.failures import Failed, failed, failures_column
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.derived import with_fields
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.score import features
from beam_pipelines.score.card import ModelCard
from beam_pipelines.score.loading import LoadedModel

MODEL_ID, MODEL_VERSION = "model_id", "model_version"
"""Columns that say which model scored a row."""

MISSING, REFUSED = "score.missing_feature", "score.failed"
"""Rules of rows that can't be scored: a feature is null, or the model raised an error for the row."""


def scored_contract(source: Contract, card: ModelCard) -> Contract:
    """The contract of scored rows: the source's fields, the card's outputs, and which model it was.

    Outputs are not classified: what a model says of a person may be sensitive, but it isn't the fields it read.
    UsageError when the rows lack a feature, or have a column of an output's name.
    """
    features.check_features(card.features, source.schema, f"the model {card.id} ({card.path})")
    added = [Field(output.name, output.type) for output in card.outputs]
    added += [Field(MODEL_ID, pa.string(), required=True), Field(MODEL_VERSION, pa.string(), required=True)]
    for field in added:
        if field.name in source.names:
            raise UsageError(f"the model {card.id} ({card.path}) yields '{field.name}', and rows have one already")
    return with_fields(source, [*source.fields, *added])


def score(batch: pa.RecordBatch, model: LoadedModel) -> pa.RecordBatch:
    """Append a model's outputs to a batch; rows that it can't score have nulls there, and `__failures`."""
    absent = features.missing(batch, model.card.features)
    found = [
        failed(np.flatnonzero(rows), MISSING, name, f"is missing, and the model {model.card.id} reads it")
        for name, rows in absent.items()
    ]
    whole = np.ones(batch.num_rows, np.bool_)
    for rows in absent.values():
        whole &= ~rows
    outputs, broken = _predict(batch if whole.all() else batch.filter(pa.array(whole)), model)
    places = np.flatnonzero(whole)
    if len(broken.rows):
        found.append(Failed(places[broken.rows], broken.failures))
    columns = [_spread(column, places, batch.num_rows) for column in outputs]
    columns += [pa.repeat(pa.scalar(text), batch.num_rows) for text in (model.card.id, model.card.version)]
    names = [*(output.name for output in model.card.outputs), MODEL_ID, MODEL_VERSION]
    return _with_columns(batch, names, columns, found)


def _predict(batch: pa.RecordBatch, model: LoadedModel) -> tuple[list[pa.Array], Failed]:
    """Score all rows at once; if the model raises an error, one by one, to find those that it raises for."""
    nothing = failed(np.array([], np.int64), REFUSED, None, "")
    if batch.num_rows == 0:
        return [pa.array([], output.type) for output in model.card.outputs], nothing
    try:
        return model.predict(batch), nothing
    except UsageError:
        raise
    except Exception:  # whatever the model's library raises
        pieces, broken, kinds = [], [], []
        for row in range(batch.num_rows):
            try:
                pieces.append(model.predict(batch.slice(row, 1)))
            except Exception as refused:  # noqa: PERF203  which rows it is for is the question
                broken.append(row)
                kinds.append(f"the model {model.card.id} can't score it: {type(refused).__name__}")
                pieces.append([pa.nulls(1, output.type) for output in model.card.outputs])
        columns = [pa.concat_arrays([piece[place] for piece in pieces]) for place in range(len(model.card.outputs))]
        rows: npt.NDArray[np.int64] = np.array(broken, np.int64)
        return columns, failed(rows, REFUSED, None, pa.array(kinds, pa.string())) if broken else nothing


def _spread(column: pa.Array, places: npt.NDArray[np.int64], rows: int) -> pa.Array:
    """Put values of some rows into a column of all rows."""
    if len(column) == rows:
        return column
    indices = np.full(rows, -1, np.int64)
    indices[places] = np.arange(len(places))
    return column.take(pa.array(indices, mask=indices < 0))


def _with_columns(
    batch: pa.RecordBatch, names: Sequence[str], columns: Sequence[pa.Array], found: Sequence[Failed]
) -> pa.RecordBatch:
    """A batch with the new columns behind its own and before provenance, and failures if there are any."""
    own = [name for name in batch.schema.names if not name.startswith("__")]
    ours = [name for name in batch.schema.names if name.startswith("__") and name != FAILURES]
    arrays = [*map(batch.column, own), *columns, *map(batch.column, ours)]
    labels = [*own, *names, *ours]
    if found:
        arrays.append(failures_column(found, batch.num_rows))
        labels.append(FAILURES)
    return pa.RecordBatch.from_arrays(arrays, labels, metadata=batch.schema.metadata)
