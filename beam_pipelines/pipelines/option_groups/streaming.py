"""What a stream needs to be told beside what files do."""

from __future__ import annotations

import dataclasses

from beam_pipelines.options import Parent, option
from beam_pipelines.window.duration import seconds_of
from beam_pipelines.window.firing import parse_firing

_REPLAY = Parent("replay", ("true",))


def _duration(text: str) -> None:
    seconds_of(text)


def _trigger(text: str) -> None:
    parse_firing(text, "1ms")  # whether late firings have a lateness is known when the window is


@dataclasses.dataclass(frozen=True)
class StreamingOptions:
    """When rows of a stream are on time, and when results are told."""

    replay: bool = option(
        "Read the files as a stream, in event time: windows close as its watermark passes, late rows are an output.",
        default=False,
        group="stream",
    )
    replay_rate: float | None = option(
        "Rows a second at most. Default: as fast as it goes.",
        default=None,
        group="stream",
        requires=_REPLAY,
        metavar="ROWS",
    )
    replay_ends: bool = option(
        "Whether the stream ends with the files; else it stays, and closes its windows by the clock.",
        default=True,
        group="stream",
        requires=_REPLAY,
    )
    out_of_orderness: str = option(
        "How much earlier than the latest row before it a row of a stream may be without being late: 30s, 5m.",
        default="0s",
        group="stream",
        metavar="DURATION",
        check=_duration,
    )
    idle_after: str = option(
        "How long a partition may be empty before it no longer holds up the others' windows.",
        default="1m",
        group="stream",
        metavar="DURATION",
        check=_duration,
    )
    compact_every: str | None = option(
        "How often a stream makes few large Parquet files of its many small ones in the lake: 10m, 1h. Default: never.",
        default=None,
        group="stream",
        metavar="DURATION",
        check=_duration,
    )
    allowed_lateness: str = option(
        "How long after its end a window of a stream still takes rows; they make further panes.",
        default="0s",
        group="stream",
        metavar="DURATION",
        check=_duration,
        requires="aggregate",
    )
    trigger: str = option(
        "When windows of a stream tell results: after_watermark, or more often: after_watermark(early=30s, late=100). "
        "A number counts partial results; each pane holds what came since the one before.",
        default="after_watermark",
        group="stream",
        metavar="TRIGGER",
        check=_trigger,
        requires="aggregate",
    )
