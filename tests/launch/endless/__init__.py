"""A pipeline that says when it has started, and goes on until it is interrupted."""

from __future__ import annotations

import dataclasses

from beam_pipelines.options import option


@dataclasses.dataclass(frozen=True)
class EndlessOptions:
    """What `endless` can be told."""

    started: str = option("File that is made when it has started.", metavar="FILE")


OPTIONS = EndlessOptions
