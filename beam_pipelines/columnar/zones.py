"""Local times and the instants they name."""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

_LOCAL = pa.timestamp("us")
_UTC = pa.timestamp("us", "UTC")
_FIRST_PROBED, _LAST_PROBED = 1970, 2200  # rules don't change any more after 2200: what agrees there agrees for ever


def localise(local: pa.TimestampArray, zone: str) -> tuple[pa.TimestampArray, pa.BooleanArray | None]:
    """Return the instants, as timestamp("us", "UTC"), that local times name, and which name none.

    `local` is a timestamp("us") without a zone, `zone` an IANA name. A local time that is skipped or
    happens twice when clocks change doesn't name one instant: it is null and marked in the mask (None
    when there is no such row). ZoneInfoNotFoundError for an unknown zone.

    >>> hours = [datetime(2024, 10, 27, 1), datetime(2024, 10, 27, 2)]
    >>> instants, invalid = localise(pa.array(hours, pa.timestamp("us")), "Europe/Berlin")
    >>> instants.to_pylist()[0].isoformat(), invalid.to_pylist()
    ('2024-10-26T23:00:00+00:00', [False, True])
    """
    first = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="earliest").cast(_UTC)
    last = pc.assume_timezone(local, zone, ambiguous="latest", nonexistent="latest").cast(_UTC)
    unsure = pc.fill_null(pc.not_equal(first, last), False)
    until = _arrow_knows_until(zone)
    if until is not None:
        far = pc.fill_null(pc.greater_equal(local, pa.scalar(until, _LOCAL)), False)
        if pc.any(far, min_count=0).as_py():
            instants = pa.array([_instant(at, zone) for at in local.filter(far).to_pylist()], _UTC)
            first = pc.replace_with_mask(first, far, instants)
            unsure = pc.replace_with_mask(unsure, far, instants.is_null())
    if not pc.any(unsure, min_count=0).as_py():
        return first, None
    return pc.if_else(unsure, pa.scalar(None, _UTC), first), unsure


def _instant(local: datetime, zone: str) -> datetime | None:
    """The one instant that a local time names, by Python's zone rules."""
    try:
        first, last = (local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(timezone.utc) for fold in (0, 1))
    except OverflowError:
        return None
    return first if first == last else None


@functools.lru_cache(maxsize=64)
def _arrow_knows_until(zone: str) -> datetime | None:
    """First local time for which Arrow's rules can't be trusted; None if they always can.

    Arrow 25 reads the transitions that a zone file lists and not the rule it ends with, so summer time
    is missing after the last one listed: 2037 as Debian builds the files, much earlier in "slim" ones.
    """
    days = [datetime(year, month, 1) for year in range(_FIRST_PROBED, _LAST_PROBED) for month in range(1, 13)]
    ours = pc.assume_timezone(pa.array(days, _LOCAL), zone, ambiguous="earliest", nonexistent="earliest").cast(_UTC)
    for day, instant in zip(days, ours.to_pylist(), strict=True):
        theirs = _instant(day, zone)
        if theirs is not None and theirs != instant:
            return datetime(day.year - 1, 1, 1)
    return None
