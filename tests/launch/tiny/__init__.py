"""Numbers from one up → a text file with their sum.

A pipeline module as somebody else would write it, to try the command line with.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.options import option


@dataclasses.dataclass(frozen=True)
class TinyOptions:
    """What `tiny` can be told."""

    result: str = option("File to write the sum to.", metavar="FILE")
    numbers: int = option("How many numbers.", default=3)
    fail: Literal["no", "usage", "contract", "bug", "balance", "output"] = option(
        "How to fail.", default="no", group="mischief"
    )


OPTIONS = TinyOptions
