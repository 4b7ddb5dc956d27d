"""Which model scores the rows."""

from __future__ import annotations

import dataclasses

from beam_pipelines.options import option


@dataclasses.dataclass(frozen=True)
class ScoringOptions:
    """A model and its shadow, each by its card."""

    model: str | None = option(
        "Card (JSON) of a model that scores each row, before columns are masked: docs/scoring.md. Default: none.",
        default=None,
        group="score",
        metavar="CARD",
        param_type="GCS_READ_FILE",
    )
    shadow_model: str | None = option(
        "Card of a second model, compared with the first: where they disagree is counted in shadow/. Default: none.",
        default=None,
        group="score",
        metavar="CARD",
        param_type="GCS_READ_FILE",
        requires="model",
    )
    shadow_tolerance: float = option(
        "Outputs that differ by no more than this agree.",
        default=1e-9,
        group="score",
        metavar="NUMBER",
        requires="shadow_model",
    )
