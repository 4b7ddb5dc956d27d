"""What a file can't give: raised where reading stops, told to the user as dead letters."""

from __future__ import annotations

from collections.abc import Iterator

TRUNCATED = "file.truncated"
"""The stored bytes end in the middle of a compressed stream."""
CORRUPT = "file.corrupt"
"""The stored bytes are no valid compressed stream from some offset on, or their checksum differs."""
UNREADABLE = "file.unreadable"
"""The medium refuses the bytes (EIO); other I/O errors may pass, so they fail the run."""
UNDECODABLE = "file.undecodable"
"""A piece of the stored bytes that couldn't be decompressed, as it is in the file."""

DOUBT = " (rows read from it may be wrong, and no one can tell which)"
"""Added to what is said of a wrong checksum."""


class Damage(Exception):  # noqa: N818  a state of the file, not of the program
    """Nothing more can be read. What was read before stays good, up to the last whole record.

    `rest` are the stored bytes from `offset` that gave no content; it reads on from the file, so use
    it while that is open.
    """

    def __init__(self, rule: str, message: str, offset: int, rest: Iterator[bytes] | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.offset = offset
        self.rest: Iterator[bytes] = iter(()) if rest is None else rest
