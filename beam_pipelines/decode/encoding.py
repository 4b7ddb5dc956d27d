"""Which records are text at all."""

from __future__ import annotations

import pyarrow as pa

from beam_pipelines.decode.bulk import SLICE_ROWS


def not_utf8(payloads: pa.BinaryArray) -> list[int]:
    """Rows whose bytes are not UTF-8.

    >>> not_utf8(pa.array([b"caf\\xc3\\xa9", b"caf\\xe9"]))
    [1]
    """
    found: list[int] = []
    if not _is_utf8(payloads):
        for start in range(0, len(payloads), SLICE_ROWS):
            piece = payloads.slice(start, SLICE_ROWS)
            if not _is_utf8(piece):
                found += [start + row for row, line in enumerate(piece.to_pylist()) if not _decodes(line)]
    return found


def _is_utf8(payloads: pa.BinaryArray) -> bool:
    try:
        payloads.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
