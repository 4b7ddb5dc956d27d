"""The rules of the events for one row in plain Python, as the row-wise sides apply them; and what these share."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timezone
from typing import Any

from benchmarks.events.data import COUNTRIES, KINDS

KEY = b"0123456789abcdef0123456789abcdef"
_ID = re.compile(r"e[0-9]+")
_PREPARED = hmac.new(KEY, digestmod=hashlib.sha256)
INNER, OUTER = (bytes(byte ^ pad for byte in KEY.ljust(64, b"\0")) for pad in (0x36, 0x5C))
"""HMAC for engines that have only SHA-256: sha256(OUTER + sha256(INNER + text))."""


def event_time(text: object) -> datetime | None:
    """An ISO time with its zone; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time.astimezone(timezone.utc) if time.tzinfo else None


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


def hashed(address: str | None) -> str | None:
    """128 bits of an address's HMAC, in hex."""
    if address is None:
        return None
    digest = _PREPARED.copy()
    digest.update(address.encode())
    return digest.hexdigest()[:32]


def cleaned(event: dict[str, Any]) -> dict[str, Any]:
    """A good event as it is written."""
    return {
        **{name: event[name] for name in ("id", "user", "country", "kind", "cents")},
        "at": event_time(event["at"]),
        "email": hashed(event.get("email")),
    }
