"""Score rows with the model that the options name."""

from __future__ import annotations

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.contract import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.outcome import Outcome
from beam_pipelines.pipelines.option_groups.scoring import ScoringOptions
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.pipelines.steps.transforming import Rows
from beam_pipelines.score import shadow
from beam_pipelines.score.transform import ScoreBatches
from beam_pipelines.sink.lake import WriteToLake


def score_rows(
    rows: beam.PCollection[pa.RecordBatch], options: ScoringOptions, contract: Contract, output: str, account: Account
) -> Rows:
    """Rows with the model's outputs, and their contract; the rows as they are if there is no model."""
    if options.model is None:
        return Rows(rows, contract)
    try:
        score = ScoreBatches(contract, options.model, shadow=options.shadow_model, tolerance=options.shadow_tolerance)
    except UsageError as wrong:
        raise UsageError(f"--model: {wrong}") from None
    scores = rows | "Score" >> score
    if options.shadow_model is not None:
        write = WriteToLake(output, account.run.run_id, "shadow", shadow.SCHEMA)
        account.add(scores.disagreement | "WriteShadow" >> write)
    good = account.settle("Unscored", Outcome(scores.good, scores.dead_letters, scores.ledger))
    return Rows(good, score.contract)
