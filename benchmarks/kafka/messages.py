"""The messages: clicks of about 1 kB, one in a hundred of them bad, and what windows they make.

Made from their numbers alone, so that what has to come out is known without asking any of the sides.
"""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone
from typing import Any

from confluent_kafka import Producer

from benchmarks.kafka.rules import WINDOW_SECONDS

START = datetime(2024, 3, 30, tzinfo=timezone.utc)
PARTITIONS = 4
PER_SECOND = 1000  # messages to a second of event time
_PAGES = 100
_BAD = 100  # one in so many

Window = tuple[int, str]
"""Seconds since START, and the page."""

_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.4.1 Mobile/15E148 Safari/604.1"
)


def click(number: int) -> tuple[dict[str, Any], bool]:
    """One click, and whether it is as its contract says."""
    dice = random.Random(number)  # noqa: S311  data, not a secret
    at = START + timedelta(seconds=number / PER_SECOND)
    items = [
        {
            "sku": f"sku-{dice.randrange(10**6):06}",
            "quantity": 1 + dice.randrange(4),
            "price": dice.randrange(9999) / 100,
        }
        for _ in range(3)
    ]
    found: dict[str, Any] = {
        "id": number,
        "at": at.isoformat(),
        "page": f"p{dice.randrange(_PAGES)}",
        "cents": dice.randrange(1000),
        "session": f"{dice.getrandbits(128):032x}",
        "user": {"id": dice.randrange(10**7), "country": dice.choice(["DE", "FR", "US", "BR"]), "plan": "free"},
        "device": {"kind": "mobile", "agent": _AGENT, "screen": [1170, 2532], "language": "de-DE", "touch": True},
        "referrer": f"https://www.example.com/search?q={dice.getrandbits(64):016x}&page={dice.randrange(20)}",
        "campaign": {"source": "newsletter", "medium": "email", "name": f"spring-{dice.randrange(50)}", "term": None},
        "items": items,
        "position": {"x": dice.random(), "y": dice.random(), "scrolled": dice.random()},
        "experiments": {f"experiment-{each}": dice.choice("ab") for each in range(4)},
        "address": f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(256)}",
        "consent": True,
        "version": "2024.13.1",
    }
    if number % _BAD:
        return found, True
    kind = number // _BAD % 4
    if kind == 0:
        found["cents"] = -1
    elif kind == 1:
        del found["page"]
    elif kind == 2:
        found["at"] = "yesterday"
    else:
        found["id"] = str(number)
    return found, False


def text_of(number: int, found: dict[str, Any]) -> bytes:
    """A click as it is written; of the bad ones, each fifth is no JSON."""
    text = json.dumps(found, separators=(",", ":")).encode()
    return text if number % (5 * _BAD) else text[:-20]


def write(address: str, topic: str, messages: int) -> dict[Window, tuple[int, int]]:
    """Write them, and tell how many good ones, and cents, are in each window."""
    producer = Producer({"bootstrap.servers": address, "queue.buffering.max.messages": 0, "linger.ms": 50})
    windows: dict[Window, tuple[int, int]] = {}
    for number in range(messages):
        found, is_good = click(number)
        millis = round(START.timestamp() * 1000) + number * 1000 // PER_SECOND
        producer.produce(topic, text_of(number, found), partition=number % PARTITIONS, timestamp=millis)
        producer.poll(0)
        if is_good:
            window = number // PER_SECOND // WINDOW_SECONDS * WINDOW_SECONDS, found["page"]
            n, cents = windows.get(window, (0, 0))
            windows[window] = n + 1, cents + found["cents"]
    producer.flush()
    return windows
