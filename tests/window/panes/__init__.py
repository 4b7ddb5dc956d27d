"""Aggregates alone, with what `event_analytics` doesn't offer: accumulating panes, and sources that tell nothing."""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.options import option
from beam_pipelines.pipelines.event_analytics import EventAnalyticsOptions


@dataclasses.dataclass(frozen=True)
class PanesOptions(EventAnalyticsOptions):
    """What is added."""

    accumulation: Literal["discarding", "accumulating"] = option("What a pane holds.", default="discarding")
    tells: bool = option("Whether batches tell their source's watermark, as those of our sources do.", default=True)


OPTIONS = PanesOptions
