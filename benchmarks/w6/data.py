"""Nexmark's events, made from a seed after the rules of Beam's generator in Java.

Of 50 events one is a person, three are auctions and 46 are bids. Half of the bids are for the hot auction, three of
four are by the hot bidder, and three of four auctions are of the hot seller; which those are changes every 100 auctions
or persons. The others are among the last 100 auctions and 1,000 persons, or up to 10 that don't exist yet.
"""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Iterator
from pathlib import Path

from scripts import cache

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z, in milliseconds
EVERY = 1  # milliseconds from an event to the next: no two have the same time, so no query has ties in it

_PERSONS, _AUCTIONS, _BIDS = 1, 3, 46
_EPOCH = _PERSONS + _AUCTIONS + _BIDS
_FIRST_ID = 1_000  # of persons and of auctions
_FIRST_CATEGORY, _CATEGORIES = 10, 5
_HOT_AUCTION, _HOT_SELLER, _HOT_BIDDER = 2, 4, 4  # of so many all but one are of the hot one
_HOT_FOR = 100  # auctions or persons
_OPEN, _ACTIVE, _LEAD = 100, 1_000, 10
_SIZES = {"person": 200, "auction": 500, "bid": 100}  # bytes on average, with what `extra` fills up
_BLOCK = 10_000

_FIRST_NAMES = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"]
_LAST_NAMES = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"]
_STATES = ["AZ", "CA", "ID", "OR", "WA", "WY"]
_CITIES = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
]


class Generator:
    """Makes events by number, in order."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311  a seed is what is wanted
        self._letters = "".join(self._chance.choices(string.ascii_lowercase + " ", k=10_000))

    def event(self, number: int) -> dict[str, object]:
        """One that Beam's `ParseJsonEventFn` reads."""
        epoch, place = divmod(number, _EPOCH)
        if place < _PERSONS:
            return self._filled("person", self._person(number, epoch))
        if place < _PERSONS + _AUCTIONS:
            return self._filled("auction", self._auction(number, epoch, place - _PERSONS))
        return self._filled("bid", self._bid(number, epoch))

    def _person(self, number: int, epoch: int) -> dict[str, object]:
        pick = self._chance.choice
        return {
            "id": _FIRST_ID + epoch,
            "name": f"{pick(_FIRST_NAMES)} {pick(_LAST_NAMES)}",
            "emailAddress": f"{self._word(7)}@{self._word(5)}.com",
            "creditCard": " ".join(f"{self._below(10_000):04}" for _ in range(4)),
            "city": pick(_CITIES),
            "state": pick(_STATES),
            "dateTime": START + number * EVERY,
        }

    def _auction(self, number: int, epoch: int, place: int) -> dict[str, object]:
        time = START + number * EVERY
        first = self._price()
        # As long as it takes until so many more auctions are open, give or take.
        ahead = _OPEN * _EPOCH // _AUCTIONS * EVERY
        return {
            "id": _FIRST_ID + epoch * _AUCTIONS + place,
            "itemName": self._text(20),
            "description": self._text(100),
            "initialBid": first,
            "reserve": first + self._price(),
            "dateTime": time,
            "expires": time + 1 + self._below(2 * ahead),
            "seller": _FIRST_ID + (self._hot(epoch) if self._below(_HOT_SELLER) else self._active(epoch)),
            "category": _FIRST_CATEGORY + self._below(_CATEGORIES),
        }

    def _bid(self, number: int, epoch: int) -> dict[str, object]:
        last = (epoch + 1) * _AUCTIONS - 1
        first = max(last - _OPEN, 0)
        some = first + self._below(last - first + 1 + _LEAD)
        return {
            "auction": _FIRST_ID + (self._hot(last) if self._below(_HOT_AUCTION) else some),
            "bidder": _FIRST_ID + (self._hot(epoch) + 1 if self._below(_HOT_BIDDER) else self._active(epoch)),
            "price": self._price(),
            "dateTime": START + number * EVERY,
        }

    def _filled(self, kind: str, event: dict[str, object]) -> dict[str, object]:
        length = sum(8 if isinstance(value, int) else len(str(value)) for value in event.values())
        missing = max(_SIZES[kind] - length, 0)
        return event | {"extra": self._text(missing - missing // 5 + self._below(2 * (missing // 5) + 1))}

    def _below(self, bound: int) -> int:
        return int(self._chance.random() * bound)

    def _text(self, length: int) -> str:
        first = self._below(len(self._letters) - length)
        return self._letters[first : first + length]

    def _word(self, length: int) -> str:
        return self._text(length).replace(" ", "o")

    def _price(self) -> int:
        return round(10 ** (self._chance.random() * 6) * 100)

    @staticmethod
    def _hot(last: int) -> int:
        return last // _HOT_FOR * _HOT_FOR

    def _active(self, epoch: int) -> int:
        persons = epoch + 1
        active = min(persons, _ACTIVE)
        return persons - active + self._below(active + _LEAD)


def lines(rows: int, seed: int = 11) -> Iterator[str]:
    """Yield blocks of JSON Lines."""
    made = Generator(seed)
    for first in range(0, rows, _BLOCK):
        numbers = range(first, min(first + _BLOCK, rows))
        yield "".join(json.dumps(made.event(number), separators=(",", ":")) + "\n" for number in numbers)


def file(rows: int) -> Path:
    """A file of so many events, made unless it is there."""
    path = cache.folder("benchmarks") / f"nexmark-{rows}.jsonl"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        with unfinished.open("w") as file:
            file.writelines(lines(rows))
        unfinished.rename(path)
    return path
