"""What window a row falls into, as data: `fixed:1h`, `none`."""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.window.duration import format_duration, parse_duration

Kind = Literal["none", "fixed"]

SUPPORTED = "fixed:DURATION (as in fixed:1h) or none"


@dataclasses.dataclass(frozen=True)
class Window:
    """A rule that puts rows into windows by their event time.

    `fixed`: windows of `size_micros` one after the other, aligned to 1970-01-01T00:00Z, as Beam's
    FixedWindows are; a row at the boundary belongs to the window that starts there. `none`: one window
    without end, whose start and end are null.
    """

    kind: Kind = "none"
    size_micros: int = 0

    def __post_init__(self) -> None:
        if (self.kind == "fixed") != (self.size_micros > 0):
            raise UsageError(f"window: a fixed window has a size, none has not: {self.kind}, {self.size_micros}")

    def __str__(self) -> str:
        return self.kind if self.kind == "none" else f"{self.kind}:{format_duration(self.size_micros)}"


NO_WINDOW = Window()


def parse_window(text: str | Window) -> Window:
    """Read a window from text; a Window stays as it is. UsageError says what is supported.

    >>> parse_window("fixed:1d").size_micros == 86_400 * 1_000_000
    True
    >>> parse_window("hourly")
    Traceback (most recent call last):
        ...
    beam_pipelines.errors.UsageError: window 'hourly': write fixed:DURATION (as in fixed:1h) or none.
    """
    if isinstance(text, Window):
        return text
    kind, colon, size = text.strip().partition(":")
    kind = kind.strip().lower()
    if kind == "none" and not colon:
        return NO_WINDOW
    if kind == "fixed" and size.strip():
        try:
            return Window("fixed", parse_duration(size))
        except UsageError as error:
            raise UsageError(f"window '{text}': {error}") from None
    if kind == "fixed":
        raise UsageError(f"window '{text}': say how long, as in fixed:1h")
    if kind in ("sliding", "session", "calendar"):
        raise UsageError(f"window '{text}': {kind} windows are not supported yet; write {SUPPORTED}.")
    near = did_you_mean(kind, ("fixed", "none"))
    raise UsageError(f"window '{text}': write {SUPPORTED}.{near if 'mean' in near else ''}")
