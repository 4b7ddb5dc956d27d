"""How a CSV file is written: what separates, quotes and stands for null."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class CsvDialect:
    """RFC 4180 with a choice of delimiter, of null words and of having a header.

    An unquoted field that equals one of `nulls` is null; a quoted one is text, whatever it says.
    Without a header the columns are the contract's, in its order.
    """

    delimiter: str = ","
    quote: str = '"'
    nulls: tuple[str, ...] = ("",)
    header: bool = True
