"""What a good click is, for sides that look at one at a time."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

WINDOW_SECONDS = 10


def is_good(click: Any) -> bool:
    """Whether a click has what it has to have; its time is looked at by whoever needs it."""
    cents = click.get("cents")
    return (
        type(click.get("id")) is int
        and isinstance(click.get("page"), str)
        and type(cents) is int
        and cents >= 0
        and isinstance(click.get("session"), str)
    )


def parsed(payload: bytes) -> dict[str, Any] | None:
    """The click with its time as a datetime; None if it isn't as it has to be."""
    try:
        click: dict[str, Any] = json.loads(payload)
        click["at"] = datetime.fromisoformat(click["at"])
    except (ValueError, KeyError, TypeError):
        return None
    return click if is_good(click) else None
