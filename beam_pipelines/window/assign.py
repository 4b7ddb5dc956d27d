"""The window of each row, for whole columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.window.spec import Window

TIME = pa.timestamp("us", "UTC")


def window_starts(times: pa.Array, window: Window) -> pa.Array:
    """Start of the window of each time, both timestamp("us", "UTC"); null for a null, or without windows.

    Floors, also before 1970: with `fixed:1h`, 1969-12-31T23:59Z is in the window of 23:00Z.

    >>> from beam_pipelines.window.spec import parse_window
    >>> window_starts(pa.array([3_600_000_000, -1], TIME), parse_window("fixed:1h")).cast(pa.int64()).to_pylist()
    [3600000000, -3600000000]
    """
    if window.kind == "none":
        return pa.nulls(len(times), TIME)
    micros = pc.fill_null(times.cast(TIME).cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    starts = pa.array(micros - np.mod(micros, window.size_micros), pa.int64())
    if times.null_count:
        starts = pc.if_else(times.is_valid(), starts, pa.scalar(None, pa.int64()))
    return starts.cast(TIME)


def window_ends(starts: pa.Array, window: Window) -> pa.Array:
    """End (exclusive) of each window, from its start."""
    if window.kind == "none":
        return starts
    return pc.add(starts.cast(pa.int64()), window.size_micros).cast(TIME)
