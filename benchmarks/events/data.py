"""The events of W1: made from a seed, a block at a time, so that any number of them fits into memory."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

from scripts import cache

COUNTRIES = ("AT", "BR", "DE", "ES", "FR", "IT", "JP", "US")
KINDS = ("buy", "cart", "click", "view")
START = 1_767_225_600  # 2026-01-01T00:00:00Z, in seconds
PER_SECOND = 500  # events: a window of 60 s holds 30,000, of 32 groups
BAD_SHARE = 0.01

_BLOCK = 10_000


def lines(rows: int, seed: int = 7, bad_share: float = BAD_SHARE) -> Iterator[str]:
    """Yield blocks of lines."""
    chance = random.Random(seed)  # noqa: S311  a seed is what is wanted
    for first in range(0, rows, _BLOCK):
        yield "".join(
            _bad(number, chance) if chance.random() < bad_share else json.dumps(event(number, chance)) + "\n"
            for number in range(first, min(first + _BLOCK, rows))
        )


def event(number: int, chance: random.Random) -> dict[str, object]:
    """A good event."""
    micros = (number * 1_000_000) // PER_SECOND + chance.randrange(0, 5_000_000)
    seconds = START + micros // 1_000_000
    day, rest = divmod(seconds - START, 86_400)
    hour, rest = divmod(rest, 3_600)
    minute, second = divmod(rest, 60)
    month = 1 if day < 31 else 2
    user = chance.randrange(1_000_000)
    return {
        "id": f"e{number:09}",
        "at": f"2026-{month:02}-{day % 31 + 1:02}T{hour:02}:{minute:02}:{second:02}.{micros % 1_000_000:06}Z",
        "user": f"u{user}",
        "country": COUNTRIES[chance.randrange(len(COUNTRIES))],
        "kind": KINDS[chance.randrange(len(KINDS))],
        "cents": chance.randrange(1, 100_000),
        "email": f"user{user}@example.com" if chance.random() < 0.9 else None,
    }


def _bad(number: int, chance: random.Random) -> str:
    good = event(number, chance)
    kind = chance.randrange(14)
    if kind == 0:
        return json.dumps(good)[:-10] + "\n"
    if kind == 1:
        return '["no", "object"]\n'
    if kind == 2:
        return f"{json.dumps(good)} {json.dumps(good)}\n"
    changes: list[tuple[str, object]] = [
        ("id", None),
        ("id", f"x{number}"),
        ("at", "2026-02-30T00:00:00Z"),
        ("at", "yesterday"),
        ("at", 1_767_225_600),
        ("country", "XX"),
        ("kind", None),
        ("cents", 1.7),
        ("cents", "12"),
        ("cents", -5),
        ("user", ""),
    ]
    name, value = changes[kind - 3]
    return json.dumps(good | {name: value}) + "\n"


def file(rows: int, bad_share: float = BAD_SHARE) -> Path:
    """A file of so many events, made unless it is there."""
    share = "" if bad_share == BAD_SHARE else f"-{bad_share:.0%}-bad"
    path = cache.folder("benchmarks") / f"events-{rows}{share}.jsonl"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        with unfinished.open("w") as file:
            file.writelines(lines(rows, bad_share=bad_share))
        unfinished.rename(path)
    return path
