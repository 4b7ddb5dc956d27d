"""Bzip2, decompressed as far as it goes."""

from __future__ import annotations

import bz2
from collections.abc import Iterator

from beam_pipelines.ingest.damage import CORRUPT, Damage
from beam_pipelines.ingest.stored import Stored

MAGIC = b"BZh"

FEED_BYTES = 16 << 10
"""Bytes given to the library at a time. A block, of 100 to 900 kB, gives its content when it is whole."""

OUTPUT_BYTES = 256 << 10
"""Bytes asked for at a time, so that the blocks before a broken one have given theirs when it fails."""

BARREN_BYTES = 8 << 20
"""A stream that gives nothing for so many bytes isn't bzip2; up to then its bytes are kept."""


def is_bzip2(head: bytes) -> bool:
    """Tell whether bytes start a stream.

    >>> is_bzip2(bz2.compress(b"a"))
    True
    """
    return head[:3] == MAGIC and head[3:4].isdigit() and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")


def unbzip2(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of all streams.

    Damage where one ends early or is broken, and at bytes after the last that are none. The bytes left
    begin with those of the block that broke.

    >>> b"".join(unbzip2(iter([bz2.compress(b"a") + bz2.compress(b"b")])))
    b'ab'
    """
    stored = Stored(blocks)
    streams = 0
    while head := stored.peek(10):
        if not is_bzip2(head):
            where = "after the end of the bzip2 stream" if streams else "at its start"
            message = f"what stands {where}, from byte {stored.offset} of the file as stored on, is not bzip2"
            raise Damage(CORRUPT, message, stored.offset, stored.rest())
        yield from _stream(stored)
        streams += 1
    stored.check()


def _stream(stored: Stored) -> Iterator[bytes]:
    start = stored.offset
    decoder = bz2.BZ2Decompressor()
    barren = b""  # stored bytes that have given nothing yet
    while not decoder.eof:
        data = b""
        if decoder.needs_input:
            data = stored.take(FEED_BYTES)
            barren += data
            if not data:
                message = (
                    f"the bzip2 stream that starts at byte {start} of the file as stored is cut off at {stored.offset}"
                )
                raise stored.cut_off(message, barren)
        try:
            content = decoder.decompress(data, OUTPUT_BYTES)
        except (OSError, ValueError) as error:
            offset = stored.offset - len(barren)
            message = f"the bzip2 stream is broken in the block at or after byte {offset} of the file as stored"
            raise Damage(CORRUPT, message, offset, stored.rest(barren)) from error
        if content:
            barren = data
            yield content
        if len(barren) > BARREN_BYTES:
            message = f"the bzip2 stream that starts at byte {start} of the file as stored gives nothing"
            raise Damage(CORRUPT, message, start, stored.rest(barren))
    stored.untake(len(decoder.unused_data))
