"""What a contract says beyond its rows: keys elsewhere that fields refer to, and aggregates that have a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Relationship:
    """A foreign key: `fields` hold values of `to_fields`, in that order, of the schema object `to`.

    >>> str(Relationship(("country", "zip"), "places", ("country", "code")))
    'country, zip → places (country, code)'
    """

    fields: tuple[str, ...]
    to: str
    """Name of the schema object that is referred to."""
    to_fields: tuple[str, ...]
    """As many fields of it."""
    file: str | None = None
    """The contract's file in which that object is, if it is another one."""
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        place = f"{self.file}#{self.to}" if self.file else self.to
        return f"{', '.join(self.fields)} → {place} ({', '.join(self.to_fields)})"


@dataclasses.dataclass(frozen=True)
class Measure:
    """A named aggregate: `sql` is over the contract's fields, as in `sum(price * quantity)`."""

    name: str
    sql: str
    description: str | None = dataclasses.field(default=None, repr=False)
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """What only informs (type, tags, …), as the contract's file has it."""

    def __str__(self) -> str:
        quoted = self.name.replace('"', '""')
        return f'{self.sql} as "{quoted}"'
