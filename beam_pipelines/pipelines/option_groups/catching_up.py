"""Which of the files that are there a run reads, when runs before it have read some."""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.options import option


def _at_least_one(number: int) -> None:
    if number < 1:
        raise ValueError(f"{number} is not a number of files: at least 1")


@dataclasses.dataclass(frozen=True)
class CatchingUpOptions:
    """New files, changed files, and how many at a time."""

    changed_files: Literal["refuse", "ignore", "read"] = option(
        "What to do about files that were read by an earlier run and have another size or time since: refuse to run; "
        "ignore them, as what they were is in the lake; or read them again as a whole, beside the rows they gave.",
        default="refuse",
        group="input",
    )
    max_files: int | None = option(
        "Most files that one run reads, those changed longest ago first; the next run goes on. Default: all.",
        default=None,
        group="input",
        metavar="N",
        check=_at_least_one,
    )
