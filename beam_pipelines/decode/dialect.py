"""How a CSV file is written: what separates, quotes and stands for null."""

from __future__ import annotations

import dataclasses

from beam_pipelines.errors import UsageError


@dataclasses.dataclass(frozen=True)
class CsvDialect:
    """RFC 4180 with a choice of delimiter, of null words and of having a header.

    An unquoted field that equals one of `nulls` is null; a quoted one is text, whatever it says.
    Without a header the columns are the contract's, in its order. `quote=""` means that nothing quotes.
    UsageError for a delimiter or quote that isn't one ASCII character.

    >>> CsvDialect(delimiter="||")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: CSV delimiter '||' is not one ASCII character (not a quote or line break)
    """

    delimiter: str = ","
    quote: str = '"'
    nulls: tuple[str, ...] = ("",)
    header: bool = True

    def __post_init__(self) -> None:
        if not _one_ascii(self.delimiter) or self.delimiter == self.quote:
            raise UsageError(f"CSV delimiter '{self.delimiter}' is not one ASCII character (not a quote or line break)")
        if self.quote and not _one_ascii(self.quote):
            raise UsageError(f"CSV quote '{self.quote}' is not one ASCII character, nor empty for none")


def _one_ascii(text: str) -> bool:
    return len(text) == 1 and text.isascii() and text not in "\r\n\0"
