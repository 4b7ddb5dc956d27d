"""When the results of a window are told: `after_watermark`, and before and after it."""

from __future__ import annotations

import dataclasses
import re

from beam_pipelines.errors import UsageError
from beam_pipelines.window.duration import format_duration, parse_duration

SUPPORTED = "after_watermark, or with firings before and after it: after_watermark(early=30s, late=100)"

Often = tuple[str, int]
"""`count` and a number of partials, or `time` and microseconds of processing time after the first of them."""

ACCUMULATIONS = ("discarding", "accumulating")


@dataclasses.dataclass(frozen=True)
class Firing:
    """When panes of a window fire, and what they hold.

    A window fires when the watermark passes its end; `early` and `late` make it fire before and after
    that. Without `late`, each late partial fires. Rows are late for good when the watermark has passed
    the end by the allowed lateness, which must be there for late firings. `discarding`: a pane holds what
    has come since the pane before; `accumulating`: all that has come.
    """

    early: Often | None = None
    late: Often | None = None
    lateness_micros: int = 0
    accumulation: str = "discarding"

    def __post_init__(self) -> None:
        if self.late is not None and not self.lateness_micros:
            raise UsageError(f"trigger '{self}': late firings need an allowed lateness, as allowed_lateness='1h'")
        if self.accumulation not in ACCUMULATIONS:
            raise UsageError(f"accumulation '{self.accumulation}' is not one of {', '.join(ACCUMULATIONS)}")

    def __str__(self) -> str:
        parts = [
            f"{name}={often[1] if often[0] == 'count' else format_duration(often[1])}"
            for name, often in (("early", self.early), ("late", self.late))
            if often is not None
        ]
        return f"after_watermark({', '.join(parts)})" if parts else "after_watermark"


def parse_firing(trigger: str, allowed_lateness: str | None = None, accumulation: str = "discarding") -> Firing:
    """Read a trigger; a number counts partials, of which a bundle has one for each window and shard.

    UsageError says what is allowed.

    >>> parse_firing("after_watermark(early=30s)", "1h").early
    ('time', 30000000)
    >>> parse_firing("hourly")
    Traceback (most recent call last):
        ...
    beam_pipelines.errors.UsageError: trigger 'hourly': write after_watermark, or with firings before and after \
it: after_watermark(early=30s, late=100)
    """
    match = re.fullmatch(r"\s*after_watermark\s*(?:\(([^()]*)\))?\s*", trigger)
    if match is None:
        raise UsageError(f"trigger '{trigger}': write {SUPPORTED}")
    told: dict[str, Often] = {}
    for part in (match[1] or "").split(","):
        if not part.strip():
            continue
        name, equals, often = (piece.strip() for piece in part.partition("="))
        if name not in ("early", "late") or not equals or name in told:
            raise UsageError(f"trigger '{trigger}': '{part.strip()}' is not early=… or late=…; write {SUPPORTED}")
        told[name] = _often(trigger, often)
    try:
        lateness = 0 if allowed_lateness in (None, "", "0", "0s") else parse_duration(str(allowed_lateness))
    except UsageError as error:
        raise UsageError(f"allowed lateness: {error}") from None
    return Firing(told.get("early"), told.get("late"), lateness, accumulation)


def _often(trigger: str, text: str) -> Often:
    if re.fullmatch(r"\d+", text):
        if int(text):
            return "count", int(text)
        raise UsageError(f"trigger '{trigger}': it can't fire after 0 partials")
    try:
        micros = parse_duration(text)
    except UsageError as error:
        raise UsageError(f"trigger '{trigger}': {error}") from None
    if micros % 1_000_000:
        raise UsageError(f"trigger '{trigger}': Beam's Python runners know whole seconds only, {text} is none")
    return "time", micros
