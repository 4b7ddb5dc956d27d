"""W2 in DuckDB's SQL: its readers give columns, the rules are a CASE."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from benchmarks.events.data import COUNTRIES, KINDS
from benchmarks.events.rules import INNER, OUTER

_JUDGED = """
CREATE TEMP TABLE judged AS SELECT *, CASE
    WHEN id IS NULL OR NOT regexp_full_match(id, 'e[0-9]+') THEN 'id'
    WHEN "at" IS NULL THEN 'at'
    WHEN "user" IS NULL OR "user" = '' THEN 'user'
    WHEN country IS NULL OR country NOT IN {countries} THEN 'country'
    WHEN kind IS NULL OR kind NOT IN {kinds} THEN 'kind'
    WHEN cents IS NULL OR cents < 1 THEN 'cents'
END AS field FROM {source}
"""
_WRITTEN = {
    "rows": """SELECT id, "user", country, kind, cents, "at",
        left(sha256('{outer}'::BLOB || unhex(sha256('{inner}'::BLOB || email::BLOB))), 32) AS email
        FROM judged WHERE field IS NULL""",
    "dead_letters": """SELECT to_json(judged) AS payload, field FROM judged WHERE field IS NOT NULL""",
    "aggregates": """SELECT time_bucket(INTERVAL 1 MINUTE, "at") AS window_start, country, kind, count(*) AS events,
        sum(cents)::BIGINT AS total, max(cents) AS largest FROM judged WHERE field IS NULL GROUP BY ALL""",
}
_CSV = "{'id': 'VARCHAR', 'at': 'TIMESTAMPTZ', 'user': 'VARCHAR', 'country': 'VARCHAR', 'kind': 'VARCHAR', "
_CSV += "'cents': 'BIGINT', 'email': 'VARCHAR'}"


def _blob(data: bytes) -> str:
    return "".join(f"\\x{byte:02X}" for byte in data)


def run(source: str, output: str) -> None:
    """Judge all rows once, then write the three outputs."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    reader = f"read_csv('{source}', columns = {_CSV}, header = true)" if source.endswith("csv") else f"'{source}'"
    database.execute(_JUDGED.format(source=reader, countries=COUNTRIES, kinds=KINDS))
    for folder, query in _WRITTEN.items():
        Path(output, folder).mkdir(parents=True)
        query = query.format(inner=_blob(INNER), outer=_blob(OUTER))
        database.execute(f"COPY ({query}) TO '{output}/{folder}/part.parquet' (FORMAT parquet, COMPRESSION zstd)")


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
