"""Turn a column of texts into values at once; only where that fails, tell good from bad."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

SLICE_ROWS = 512
"""Rows judged together once the column as a whole has failed: with one bad value in a thousand, most
slices still take the quick way, and a call (about 5 µs) is small per row."""


class Parsed(NamedTuple):
    """Values, null where the text was null or wrong, and a mask of the wrong ones (None: no such row)."""

    values: pa.Array
    invalid: pa.BooleanArray | None


class Doubtful(ValueError):  # noqa: N818  no error: the exact parser decides
    """A quick parser can't vouch for a text it has seen."""


def parse_in_bulk(
    text: pa.StringArray,
    quick: Callable[[pa.StringArray], pa.Array],
    exact: Callable[[pa.StringArray], Parsed],
) -> Parsed:
    """Parse with `quick`; slices for which it raises ArrowInvalid or Doubtful are parsed with `exact`.

    `quick` must accept nothing that `exact` finds wrong, and agree with it on the values.
    """
    whole = _attempt(text, quick)
    if whole is not None:
        return Parsed(whole, None)
    if len(text) <= SLICE_ROWS:
        return exact(text)
    slices = [text.slice(start, SLICE_ROWS) for start in range(0, len(text), SLICE_ROWS)]
    attempts = [_attempt(piece, quick) for piece in slices]
    # What is left is judged in one go: a regular expression is compiled at every call (about 60 µs).
    rest = exact(pa.concat_arrays([piece for piece, values in zip(slices, attempts, strict=True) if values is None]))
    values, masks, done = [], [], 0
    for piece, quickly in zip(slices, attempts, strict=True):
        if quickly is None:
            values.append(rest.values.slice(done, len(piece)))
            masks.append(_mask(rest, done, len(piece)))
            done += len(piece)
        else:
            values.append(quickly)
            masks.append(pa.repeat(False, len(piece)))
    return Parsed(pa.concat_arrays(values), None if rest.invalid is None else pa.concat_arrays(masks))


def _mask(parsed: Parsed, start: int, length: int) -> pa.BooleanArray:
    return pa.repeat(False, length) if parsed.invalid is None else parsed.invalid.slice(start, length)


def _attempt(text: pa.StringArray, quick: Callable[[pa.StringArray], pa.Array]) -> pa.Array | None:
    try:
        return quick(text)
    except (pa.ArrowInvalid, Doubtful):
        return None


def matching(text: pa.StringArray, regex: str) -> pa.BooleanArray:
    """Whether each text matches an RE2 regex from its start to its end; null is False."""
    return pc.fill_null(pc.match_substring_regex(text, f"^(?:{regex})$"), False)


def keep(valid: pa.BooleanArray, values: pa.Array) -> pa.Array:
    """Null where not valid."""
    return pc.if_else(valid, values, pa.scalar(None, values.type))


def verdict(text: pa.StringArray, values: pa.Array) -> Parsed:
    """Parsed values whose nulls are wrong texts, unless the text was null too."""
    invalid = pc.and_(values.is_null(), text.is_valid())
    return Parsed(values, invalid if pc.any(invalid, min_count=0).as_py() else None)


def used_bytes(text: pa.Array) -> npt.NDArray[np.uint8]:
    """The bytes of all texts of a string or binary array, one after another, without a copy."""
    _, offsets, data = text.buffers()
    if data is None or len(text) == 0:
        return np.empty(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)
    first, last = int(bounds[text.offset]), int(bounds[text.offset + len(text)])
    return np.frombuffer(data, np.uint8)[first:last]
