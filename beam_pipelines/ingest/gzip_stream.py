"""Gzip, decompressed as far as it goes (RFC 1952; the data itself is RFC 1951)."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator

from beam_pipelines.ingest.damage import CORRUPT, DOUBT, Damage
from beam_pipelines.ingest.stored import Stored

MAGIC = b"\x1f\x8b\x08"
"""ID1, ID2 and the one compression method there is, deflate."""

FEED_BYTES = 256 << 10
OUTPUT_BYTES = 2 << 20
"""Bytes taken from zlib at a time: a bomb of a thousand to one costs time, not memory."""

BARREN_BYTES = 1 << 20
"""A member that gives nothing for so many bytes isn't gzip; up to then its bytes are kept."""


def gunzip(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of all members; zeros between and after them are padding, as for gzip itself.

    Damage where a member ends early or is broken, and at bytes after the last that are no member.
    Deflate has no marks to start again from, so reading ends there; members behind it aren't looked for.

    >>> import gzip
    >>> b"".join(gunzip(iter([gzip.compress(b"a") + gzip.compress(b"b")])))
    b'ab'
    """
    stored = Stored(blocks)
    members = 0
    while stored.peek(1):
        if stored.peek(len(MAGIC)) != MAGIC:
            where = "after the end of the gzip stream" if members else "at its start"
            message = f"what stands {where}, from byte {stored.offset} of the file as stored on, is not gzip"
            raise Damage(CORRUPT, message, stored.offset, stored.rest())
        yield from _member(stored)
        members += 1
        _skip_zeros(stored)
    stored.check()


def _skip_zeros(stored: Stored) -> None:
    while ahead := stored.peek(4096):
        zeros = len(ahead) - len(ahead.lstrip(b"\0"))
        stored.take(zeros)
        if zeros < len(ahead):
            return


def _member(stored: Stored) -> Iterator[bytes]:
    start = stored.offset
    decoder = zlib.decompressobj(wbits=31)  # 31: a gzip header and checksum around the data
    barren = b""  # the member's stored bytes, for as long as they have given nothing
    fertile = False
    while not decoder.eof:
        data = stored.take(FEED_BYTES)
        if not data:
            message = f"the gzip stream that starts at byte {start} of the file as stored is cut off at {stored.offset}"
            raise stored.cut_off(message, barren)
        if not fertile:
            barren += data
        while True:
            before = decoder.copy()
            try:
                content = decoder.decompress(data, OUTPUT_BYTES)
            except zlib.error as error:
                left, saved = yield from _salvage(before, data)
                offset = stored.offset - len(left)
                words = str(error).rpartition("data: ")[2]
                message = f"the gzip stream is broken at byte {offset} of the file as stored: {words}"
                if "check" in words:
                    message += DOUBT
                if not fertile and not saved:
                    raise Damage(CORRUPT, message, start, stored.rest(barren)) from error
                raise Damage(CORRUPT, message, offset, stored.rest(left)) from error
            if content:
                fertile, barren = True, b""
                yield content
            if decoder.eof:
                stored.untake(len(decoder.unused_data))
                return
            data = decoder.unconsumed_tail
            # Without input left zlib may still hold output that the last call had no room for.
            if not data and len(content) < OUTPUT_BYTES:
                break
        if len(barren) > BARREN_BYTES:
            message = f"the gzip stream that starts at byte {start} of the file as stored gives nothing"
            raise Damage(CORRUPT, message, start, stored.rest(barren))


# What is given by zlib's type stubs has no public name.
def _salvage(decoder: zlib._Decompress, data: bytes) -> Generator[bytes, None, tuple[bytes, int]]:
    """Decompress up to the byte that breaks; return what is left from it on, and how much was saved.

    A call that fails gives nothing of what it had, so the input is fed in ever smaller portions.
    """
    saved = 0
    for portion in (4096, 64, 1):
        while data:
            before = decoder.copy()
            try:
                content = decoder.decompress(data[:portion])
            except zlib.error:
                decoder = before
                break
            data = data[portion:]
            if content:
                saved += len(content)
                yield content
    return data, saved
