"""Zstandard, decompressed as far as it goes (RFC 8878).

The library is fed one block of the format at a time. A block gives at most 128 KiB, so memory is
bounded whatever is in the file, all blocks before a broken one are kept, and a frame that ends early
is seen (the library's own streams take that for the end).
"""

from __future__ import annotations

from collections.abc import Iterator

import zstandard

from beam_pipelines.ingest.damage import CORRUPT, DOUBT, Damage
from beam_pipelines.ingest.stored import Stored

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE_MAGIC = b"\x2a\x4d\x18"
"""Bytes 2 to 4 of a frame that holds no data; the first is 0x50 to 0x5f."""

MAX_BLOCK_BYTES = 128 << 10
RAW, RLE, COMPRESSED = range(3)

BARREN_BYTES = 1 << 20
"""A frame that gives nothing for so many bytes isn't zstd; up to then its bytes are kept."""


def is_zstd(head: bytes) -> bool:
    """Tell whether bytes start a frame, with data or skippable."""
    return head[:4] == MAGIC or (head[1:4] == SKIPPABLE_MAGIC and head[0] >> 4 == 5)


def unzstd(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of all frames.

    Damage where a frame ends early or is broken, and at bytes that are no frame. Frames that need a
    dictionary or a window of more than 128 MiB count as broken.

    >>> b"".join(unzstd(iter([zstandard.compress(b"a") + zstandard.compress(b"b")])))
    b'ab'
    """
    stored = Stored(blocks)
    frames = 0
    while head := stored.peek(4):
        if not is_zstd(head):
            where = "after the end of the zstd stream" if frames else "at its start"
            message = f"what stands {where}, from byte {stored.offset} of the file as stored on, is not zstd"
            raise Damage(CORRUPT, message, stored.offset, stored.rest())
        if head == MAGIC:
            yield from _frame(stored)
        else:
            _skip(stored)
        frames += 1
    stored.check()


def _skip(stored: Stored) -> None:
    start = stored.offset
    size = int.from_bytes(_take(stored, 8, start)[4:], "little")
    while size:
        size -= len(_take(stored, min(size, MAX_BLOCK_BYTES), start))


def _frame(stored: Stored) -> Iterator[bytes]:
    start = stored.offset
    header = _take(stored, 5, start)
    descriptor = header[4]
    single_segment = descriptor >> 5 & 1
    size = (0 if single_segment else 1) + (0, 1, 2, 4)[descriptor & 3] + (single_segment, 2, 4, 8)[descriptor >> 6]
    header += _take(stored, size, start, header)
    decoder = zstandard.ZstdDecompressor().decompressobj()
    barren = header  # the frame's stored bytes, for as long as they have given nothing
    unit, last = header, False
    while True:
        offset = stored.offset - len(unit)
        try:
            content = decoder.decompress(unit)
        except zstandard.ZstdError as error:
            words = str(error).rpartition(": ")[2]
            message = f"the zstd stream is broken at byte {offset} of the file as stored: {words}"
            if "checksum" in words:
                message += DOUBT
            raise Damage(CORRUPT, message, stored.offset - len(barren or unit), stored.rest(barren or unit)) from error
        if content:
            barren = b""
            yield content
        if decoder.eof:
            return
        if last:
            unit = _take(stored, 4, start, barren)  # the content's checksum
        else:
            unit, last = _block(stored, start, barren)
        if barren:
            barren += unit
        if len(barren) > BARREN_BYTES:
            message = f"the zstd stream that starts at byte {start} of the file as stored gives nothing"
            raise Damage(CORRUPT, message, start, stored.rest(barren))


def _block(stored: Stored, start: int, barren: bytes) -> tuple[bytes, bool]:
    header = _take(stored, 3, start, barren)
    fields = int.from_bytes(header, "little")
    last, kind, size = bool(fields & 1), fields >> 1 & 3, fields >> 3
    if kind > COMPRESSED or size > MAX_BLOCK_BYTES:
        offset = stored.offset - len(header)
        message = f"the zstd stream is broken at byte {offset} of the file as stored: no such block"
        raise Damage(CORRUPT, message, offset - len(barren), stored.rest(barren + header))
    return header + _take(stored, 1 if kind == RLE else size, start, barren + header), last


def _take(stored: Stored, size: int, start: int, barren: bytes = b"") -> bytes:
    """Take bytes of the frame that starts at `start`; what is undecoded of it is in Damage's rest."""
    taken = stored.take(size)
    if len(taken) < size:
        message = f"the zstd stream that starts at byte {start} of the file as stored is cut off at {stored.offset}"
        raise stored.cut_off(message, barren + taken)
    return taken
