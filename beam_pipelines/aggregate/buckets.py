"""Numbers in buckets whose width is a 128th of their power of two, for quantiles within 0.4 %.

The bucket is the upper bits of the float64: sign, exponent and 7 bits of the fraction. So it is found by
shifting, alike on every machine, and tallies of buckets merge without loss. The idea is that of
HdrHistogram, and of C. Masson, J. E. Rim and H. K. Lee, "DDSketch" (VLDB 2019), which takes a logarithm.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from beam_pipelines.columnar.expressions.node import Apply, Node, Values
from beam_pipelines.columnar.expressions.types import FLOAT

BUCKET = pa.int32()

_DROPPED = 45  # of the 52 bits of a fraction
_INFINITE = 2047 << (52 - _DROPPED)


def bucket(argument: Node) -> Apply:
    """A node of the buckets of numbers: integers in the order of the numbers, one for all of NaN."""
    return Apply(_buckets, (argument,), BUCKET, f"BUCKET({argument.sql})")


def to_numbers(buckets: pa.Array) -> pa.Array:
    """A number of each bucket that is within a 257th of all that are in it."""
    signed = buckets.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    sizes = np.abs(signed)
    finite = np.minimum(sizes, _INFINITE - 1)
    low, high = ((finite + more << _DROPPED).view(np.float64) for more in (0, 1))
    with np.errstate(invalid="ignore", over="ignore"):
        middle = np.where(np.isinf(high), low, low + (high - low) * (low / (low + high)))
    middle = np.where(sizes == 0, 0.0, np.where(sizes < _INFINITE, middle, np.inf))
    middle = np.where(sizes > _INFINITE, np.nan, np.where(signed < 0, -middle, middle))
    return pa.array(middle, FLOAT, mask=buckets.is_null().to_numpy(zero_copy_only=False))


def _buckets(values: Values) -> pa.Array:
    numbers = values.fill_null(0.0).to_numpy(zero_copy_only=False)
    bits = np.where(np.isnan(numbers), np.nan, np.abs(numbers)).view(np.int64) & np.int64(2**63 - 1)
    sizes = bits >> np.int64(_DROPPED)
    signed = np.where(numbers < 0, -sizes, sizes).astype(np.int32)
    return pa.array(signed, BUCKET, mask=values.is_null().to_numpy(zero_copy_only=False))
