"""Rows as they are."""

from __future__ import annotations

from benchmarks.w7.rows import run

if __name__ == "__main__":
    run(lambda rows: rows)
