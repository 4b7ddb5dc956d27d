"""The bytes of a file as they are stored: blocks, a look ahead, pieces of a size."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from beam_pipelines.ingest.damage import TRUNCATED, UNREADABLE, Damage

BLOCK_BYTES = 2 << 20
"""Bytes worked on at a time: some 11,000 lines of 190 bytes, so that numpy's cost per call vanishes,
and still small enough for a processor's cache (4 MiB took half as long again)."""


def blocks_of(file: BinaryIO, path: str, offset: int = 0, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield what the file holds from its current place, `offset`, on.

    Damage when the medium can't give the bytes (EIO). Another OSError may pass by itself: it is raised
    again with the file and place in its text, and the runner decides whether to try once more.
    """
    while True:
        try:
            block = file.read(size)
        except OSError as error:
            message = f"can't read '{path}' at byte {offset}: {error}"
            if error.errno == errno.EIO:
                raise Damage(UNREADABLE, message, offset) from error
            raise OSError(error.errno, message) from error
        if not block:
            return
        yield block
        offset += len(block)


def gather(chunks: Iterable[bytes], size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Join small chunks into blocks of at least `size`, but for the last; what came before Damage too.

    >>> list(gather([b"a", b"bc", b"d"], 2))
    [b'abc', b'd']
    """
    held: list[bytes] = []
    bytes_held = 0
    try:
        for chunk in chunks:
            held.append(chunk)
            bytes_held += len(chunk)
            if bytes_held >= size:
                yield held[0] if len(held) == 1 else b"".join(held)
                held, bytes_held = [], 0
    except Damage:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def peek(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first `size` bytes or more, if there are so many, and all chunks again.

    >>> head, chunks = peek(iter([b"a", b"b", b"c"]), 2)
    >>> head, list(chunks)
    (b'ab', [b'ab', b'c'])
    """
    held: list[bytes] = []
    damage: Damage | None = None
    bytes_held = 0
    try:
        while bytes_held < size:
            held.append(next(chunks))
            bytes_held += len(held[-1])
    except StopIteration:
        pass
    except Damage as found:
        damage = found
    head = b"".join(held)
    return head, itertools.chain([head] if head else [], chunks if damage is None else raising(damage))


def raising(damage: Damage) -> Iterator[bytes]:
    """Raise Damage where a block is asked for."""
    raise damage
    yield b""


def pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Cut chunks into pieces of exactly `size` bytes, but for the last.

    >>> list(pieces([b"abc", b"de"], 2))
    [b'ab', b'cd', b'e']
    """
    held = b""
    for chunk in chunks:
        held += chunk
        whole = len(held) - len(held) % size
        for start in range(0, whole, size):
            yield held[start : start + size]
        held = held[whole:]
    if held:
        yield held


class Stored:
    """Stored bytes taken from the front, with the offset of the next one."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._held = b""
        self._at = 0
        self._damage: Damage | None = None
        self.offset = 0

    def peek(self, size: int) -> bytes:
        """Return the next bytes without taking them; fewer than `size` at the end, or before damage."""
        while len(self._held) - self._at < size:
            try:
                block = next(self._blocks, b"")
            except Damage as damage:
                self._damage, self._blocks = damage, iter(())
                break
            if not block:
                break
            self._held, self._at = self._held[self._at :] + block, 0
        return self._held[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """Take the next bytes; fewer than `size` at the end, or before damage."""
        taken = self.peek(size)
        self._at += len(taken)
        self.offset += len(taken)
        return taken

    def untake(self, size: int) -> None:
        """Put the last `size` bytes of the last take back."""
        self._at -= size
        self.offset -= size

    def rest(self, *before: bytes) -> Iterator[bytes]:
        """Yield all bytes that are left, after those given."""
        left = self._held[self._at :]
        self._held, self._at = b"", 0
        damaged = raising(self._damage) if self._damage else ()
        return itertools.chain(filter(None, (*before, left)), self._blocks, damaged)

    def check(self) -> None:
        """Raise the damage behind the last byte, if that isn't the file's end."""
        if self._damage:
            raise self._damage

    def cut_off(self, message: str, left: bytes) -> Damage:
        """Say that bytes are missing, by damage to the medium or at the file's end; `left` gave no content."""
        rule = TRUNCATED
        if self._damage:
            rule, message = self._damage.rule, self._damage.message
        return Damage(rule, message, self.offset - len(left), iter([left] if left else []))
