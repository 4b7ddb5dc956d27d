"""Events in files → validated, masked rows and windowed aggregates in a lake, every row accounted for.

Reads JSON Lines and CSV, plain or compressed, judges each row by a data contract, removes duplicates, joins
tables, filters and derives by SQL, scores with a model, hides what the contract says, aggregates over
event-time windows, and writes rows, aggregates and dead letters as Parquet with a balance and a manifest.
"""

from __future__ import annotations

import dataclasses

from beam_pipelines.pipelines.option_groups.aggregating import AggregatingOptions
from beam_pipelines.pipelines.option_groups.masking import MaskingOptions
from beam_pipelines.pipelines.option_groups.reading import ReadingOptions
from beam_pipelines.pipelines.option_groups.scoring import ScoringOptions
from beam_pipelines.pipelines.option_groups.storing import StoringOptions
from beam_pipelines.pipelines.option_groups.streaming import StreamingOptions
from beam_pipelines.pipelines.option_groups.transforming import TransformingOptions
from beam_pipelines.pipelines.option_groups.writing import WritingOptions


@dataclasses.dataclass(frozen=True)
class EventAnalyticsOptions(
    ReadingOptions,
    WritingOptions,
    StoringOptions,
    TransformingOptions,
    ScoringOptions,
    AggregatingOptions,
    StreamingOptions,
    MaskingOptions,
):
    """What `event_analytics` can be told."""


OPTIONS = EventAnalyticsOptions
