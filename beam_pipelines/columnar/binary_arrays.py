"""Python's bytes → an Arrow column in one copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

_MOST_BYTES = (1 << 31) - 1  # of a column with offsets of 32 bits


def binary_array(values: Sequence[bytes | None]) -> pa.BinaryArray:
    """Make a column of texts that may be long.

    `pa.array` grows its buffer as it goes, and copies it each time: with 1 kB a value it takes several times as long.

    >>> binary_array([b"a", None, b""]).to_pylist()
    [b'a', None, b'']
    """
    present = [value for value in values if value is not None]
    lengths, validity = np.fromiter(map(len, present), np.int64, len(present)), None
    if len(present) < len(values):
        is_there = np.fromiter((value is not None for value in values), np.bool_, len(values))
        validity = pa.py_buffer(np.packbits(is_there, bitorder="little"))
        of_present, lengths = lengths, np.zeros(len(values), np.int64)
        lengths[is_there] = of_present
    data = b"".join(present)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{len(data)} bytes don't fit into one batch, which holds {_MOST_BYTES}")
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.BinaryArray.from_buffers(pa.binary(), len(values), [validity, pa.py_buffer(offsets), pa.py_buffer(data)])
