"""The rules of W1 for one row in plain Python, as the row-wise sides apply them; and what both of them share."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timezone
from typing import Any

from benchmarks.w1.data import COUNTRIES, KINDS

KEY = b"0123456789abcdef0123456789abcdef"
_ID = re.compile(r"e[0-9]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def event_time(text: object) -> datetime | None:
    """An ISO time with its zone; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else None


def broken_field(event: Any) -> str | None:
    """The first field that breaks its rule; None for a good event."""
    if not isinstance(event, dict):
        return "record"
    if not (isinstance(event.get("id"), str) and _ID.fullmatch(event["id"])):
        return "id"
    if event_time(event.get("at")) is None:
        return "at"
    if not (isinstance(event.get("user"), str) and event["user"]):
        return "user"
    if event.get("country") not in COUNTRIES:
        return "country"
    if event.get("kind") not in KINDS:
        return "kind"
    cents = event.get("cents")
    if not (isinstance(cents, int) and not isinstance(cents, bool) and cents >= 1):
        return "cents"
    email = event.get("email")
    return None if email is None or isinstance(email, str) else "email"


def cleaned(event: dict[str, Any]) -> dict[str, Any]:
    """A good event as it is written."""
    email = event.get("email")
    hashed = None if email is None else hmac.new(KEY, email.encode(), hashlib.sha256).hexdigest()[:32]
    return {
        **{name: event[name] for name in ("id", "user", "country", "kind", "cents")},
        "at": event_time(event["at"]),
        "email": hashed,
    }
