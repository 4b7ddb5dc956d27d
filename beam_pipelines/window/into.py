"""WindowPartials: Beam's own windows and triggers, from a Window and a Firing."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.transforms.trigger import (
    AccumulationMode,
    AfterCount,
    AfterProcessingTime,
    AfterWatermark,
    TriggerFn,
)
from apache_beam.transforms.window import FixedWindows, GlobalWindows, Sessions, SlidingWindows, WindowFn
from apache_beam.utils.timestamp import Duration

from beam_pipelines.window.firing import Firing, Often
from beam_pipelines.window.spec import Window


class WindowPartials(beam.PTransform):
    """Put elements into Beam's windows by their timestamps; calendar windows and none are the global one.

    Only Beam's own WindowFns are used: Prism and Flink refuse those that are pickled. Without a `firing`,
    as suits bounded input, each window has one pane.
    """

    def __init__(self, window: Window, firing: Firing | None = None) -> None:
        super().__init__()
        self._window = window
        self._firing = firing

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        firing = self._firing
        if firing is None:
            return elements | beam.WindowInto(_window_fn(self._window))
        late = _often(firing.late or ("count", 1)) if firing.lateness_micros else None
        modes = {"discarding": AccumulationMode.DISCARDING, "accumulating": AccumulationMode.ACCUMULATING}
        return elements | beam.WindowInto(
            _window_fn(self._window),
            trigger=AfterWatermark(early=firing.early and _often(firing.early), late=late),
            accumulation_mode=modes[firing.accumulation],
            allowed_lateness=Duration(micros=firing.lateness_micros),
        )


def _window_fn(window: Window) -> WindowFn:
    size, period = Duration(micros=window.size_micros), Duration(micros=window.period_micros)
    if window.kind == "fixed":
        return FixedWindows(size)
    if window.kind == "sliding":
        return SlidingWindows(size, period)
    return Sessions(size) if window.kind == "session" else GlobalWindows()


def _often(often: Often) -> TriggerFn:
    kind, amount = often
    return AfterCount(amount) if kind == "count" else AfterProcessingTime(amount // 1_000_000)
