"""Times as scenarios write them: `12:00:30` of the scenario's day, or a date with a time, in UTC if it says no zone."""

from __future__ import annotations

import datetime
import re

_OF_DAY = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def read_time(text: str, day: datetime.date | None) -> datetime.datetime:
    """Read a time. ValueError says what is wrong.

    >>> read_time("12:00:30", datetime.date(2024, 5, 1)).isoformat()
    '2024-05-01T12:00:30+00:00'
    >>> read_time("2024-05-01T14:00+02:00", None).isoformat()
    '2024-05-01T12:00:00+00:00'
    """
    if is_of_day(text):
        if day is None:
            raise ValueError(f"'{text}' has no date, and the scenario no day: add `day: 2024-05-01`")
        text = f"{day.isoformat()}T{text}"
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a time such as 12:00:30 or 2024-05-01T12:00:30") from None
    if at.tzinfo is None:
        return at.replace(tzinfo=datetime.timezone.utc)
    return at.astimezone(datetime.timezone.utc)


def is_of_day(text: str) -> bool:
    """Whether it is a time without a date."""
    return _OF_DAY.fullmatch(text) is not None


def micros_of(at: datetime.datetime) -> int:
    """Microseconds since the epoch."""
    return (at - _EPOCH) // datetime.timedelta(microseconds=1)


def written(at: datetime.datetime, day: datetime.date | None) -> str:
    """Write a UTC time as short as it goes.

    >>> at = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.timezone.utc)
    >>> written(at, at.date()), written(at, None)
    ('12:00:00', '2024-05-01T12:00:00')
    """
    plain = at.replace(tzinfo=None)
    return plain.time().isoformat() if plain.date() == day else plain.isoformat()
