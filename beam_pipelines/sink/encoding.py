"""How data files are written: format, codec and level, and which go together."""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.errors import UsageError, did_you_mean

Format = Literal["parquet", "orc", "avro", "jsonl", "csv"]
FORMATS: tuple[Format, ...] = ("parquet", "orc", "avro", "jsonl", "csv")
Codec = Literal["zstd", "snappy", "gzip", "lz4", "bzip2", "none"]

CODECS: dict[Format, tuple[Codec, ...]] = {
    "parquet": ("zstd", "snappy", "gzip", "lz4", "none"),
    "orc": ("zstd", "snappy", "gzip", "lz4", "none"),
    "avro": ("gzip", "zstd", "snappy", "bzip2", "none"),
    "jsonl": ("none", "gzip", "zstd", "bzip2"),
    "csv": ("none", "gzip", "zstd", "bzip2"),
}
"""Codecs of each format, its default first. Avro's is deflate, which every reader has to know."""

LEVELS = {"zstd": (1, 22), "gzip": (1, 9), "bzip2": (1, 9)}
"""Lowest and highest level of the codecs that have any."""

_SUFFIXES = {"gzip": ".gz", "zstd": ".zst", "bzip2": ".bz2"}


@dataclasses.dataclass(frozen=True)
class Encoding:
    """A format with its codec and level; None is the format's or codec's own default.

    UsageError for what doesn't go together.

    >>> Encoding("csv", "gzip").suffix
    'csv.gz'
    >>> Encoding("orc", level=3)
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: --codec_level: 3 is not possible: ORC is written without levels
    """

    format: Format = "parquet"
    codec: Codec | None = None
    level: int | None = None
    dictionaries: bool = True
    """Whether columns of Parquet have dictionaries where values repeat: finding that out costs as much as writing."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(
                f"--output_format: '{self.format}' is not one of {', '.join(FORMATS)}."
                + did_you_mean(self.format, FORMATS)
            )
        allowed = CODECS[self.format]
        if self.codec is None:
            object.__setattr__(self, "codec", allowed[0])
        if self.codec not in allowed:
            raise UsageError(f"--codec: '{self.codec}' is not possible in {self.format}, only {', '.join(allowed)}")
        if self.level is None:
            return
        if self.format == "orc":
            raise UsageError(f"--codec_level: {self.level} is not possible: ORC is written without levels")
        low, high = LEVELS.get(str(self.codec), (1, 0))
        if not low <= self.level <= high:
            has = f"has the levels {low} to {high}" if high else "has no levels"
            raise UsageError(f"--codec_level: {self.level} is not possible: {self.codec} {has}")

    @property
    def is_text(self) -> bool:
        return self.format in ("jsonl", "csv")

    @property
    def suffix(self) -> str:
        """The end of a file's name; compressed text says so."""
        return self.format + (_SUFFIXES.get(str(self.codec), "") if self.is_text else "")
