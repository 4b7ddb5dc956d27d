"""All flights that left New York City in 2013, as the demo has them."""

from __future__ import annotations

from pathlib import Path

from scripts import cache

ROWS = 336_776


def folder(rows: int) -> Path:
    """Where the twelve files are, made unless they are there."""
    from examples.flights.prepare import prepare

    if rows != ROWS:
        raise ValueError(f"there are {ROWS:,} flights, not {rows:,}")
    made = cache.folder("benchmarks") / "flights"
    prepare(made)
    return made
