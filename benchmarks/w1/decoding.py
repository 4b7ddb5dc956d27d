"""A line of W1 by msgspec, types and rules in one step: the fastest there is in Python a row at a time."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec

from benchmarks.events.rules import broken_field


class Event(msgspec.Struct):
    """An event and its rules."""

    id: Annotated[str, msgspec.Meta(pattern="^e[0-9]+$")]
    at: Annotated[datetime.datetime, msgspec.Meta(tz=True)]
    user: Annotated[str, msgspec.Meta(min_length=1)]
    country: Literal["AT", "BR", "DE", "ES", "FR", "IT", "JP", "US"]
    kind: Literal["buy", "cart", "click", "view"]
    cents: Annotated[int, msgspec.Meta(ge=1)]
    email: str | None = None


decode = msgspec.json.Decoder(Event).decode
"""Raises ValueError for a line that is no good event."""


def reason(line: str) -> str:
    """The first field that breaks its rule, of a line that `decode` refused."""
    try:
        event = msgspec.json.decode(line)
    except ValueError:
        return "record"
    field = broken_field(event)
    if field is None:
        raise AssertionError(f"refused, but no rule is broken: {line}")
    return field
