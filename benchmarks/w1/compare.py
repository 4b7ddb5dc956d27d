"""Whether two sides of W1 wrote the same: aggregates, rows and dead letters with their reasons, exactly.

Hashes of `email` are each side's own; there has to be one for each address, and as many different ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

_SAME = {
    "aggregates": "window_start, country, kind, events, total, largest",
    "rows": 'id, "at", "user", country, kind, cents, email IS NULL',
    "dead_letters": "payload::VARCHAR, coalesce(field, 'record')",
}


def differences(output: Path, other: Path) -> list[str]:
    """One sentence for each difference; none when the outputs are equal."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    found = []
    for folder, columns in _SAME.items():
        ours, theirs = (f"SELECT {columns} FROM '{side}/{folder}/*.parquet'" for side in (output, other))
        if folder == "dead_letters":  # a payload is text on some sides and bytes on others
            ours, theirs = (
                f"SELECT decode(payload::BLOB), coalesce(field, 'record') FROM '{side}/{folder}/*.parquet'"
                for side in (output, other)
            )
        counts = database.execute(
            f"SELECT (SELECT count(*) FROM ({ours} EXCEPT ALL {theirs})), "
            f"(SELECT count(*) FROM ({theirs} EXCEPT ALL {ours}))"
        ).fetchall()[0]
        if any(counts):
            found.append(f"{folder}: {counts[0]} rows only in {output.name}, {counts[1]} only in {other.name}")
    hashes = [
        database.execute(f"SELECT count(DISTINCT email) FROM '{side}/rows/*.parquet'").fetchall()
        for side in (output, other)
    ]
    if hashes[0] != hashes[1]:
        found.append(f"rows: {hashes[0]} and {hashes[1]} different hashes of addresses")
    return found


if __name__ == "__main__":
    print("\n".join(differences(Path(sys.argv[1]), Path(sys.argv[2]))))
