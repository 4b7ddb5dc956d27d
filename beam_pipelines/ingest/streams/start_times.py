"""Times at which reading a log begins, as a URI says them."""

from __future__ import annotations

from datetime import datetime, timezone


def millis_of(text: str) -> int:
    """Read a time with its offset from UTC, in milliseconds since the epoch. ValueError says what is allowed.

    >>> millis_of("1970-01-01T00:00:01Z")
    1000
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a time such as 2024-05-01T00:00:00Z") from None
    if time.tzinfo is None:
        raise ValueError(f"'{text}' has no offset from UTC: end it with Z, or with +02:00")
    return round((time - datetime.fromtimestamp(0, timezone.utc)).total_seconds() * 1000)
