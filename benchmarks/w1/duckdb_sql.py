"""W1 in DuckDB's SQL, over lines of text: its JSON reader takes 1.7 for an integer, and has no dead letters."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from benchmarks.events.data import COUNTRIES, KINDS
from benchmarks.events.rules import INNER, OUTER

_PARSED = """
CREATE TEMP VIEW judged AS
WITH lines AS (
    SELECT line, CASE WHEN json_valid(line) THEN line::JSON END AS j
    FROM read_csv('{source}', columns={{'line': 'VARCHAR'}}, delim='\\x01', quote='', escape='', header=false)
), fields AS (
    SELECT line, json_type(j) AS kind_of_record,
        json_extract_string(j, ['$.id', '$.at', '$.user', '$.country', '$.kind', '$.cents', '$.email']) AS v,
        json_type(j, ['$.id', '$.at', '$.user', '$.country', '$.kind', '$.cents', '$.email']) AS t
    FROM lines
), typed AS (
    SELECT line, kind_of_record, t, v[1] AS id,
        CASE WHEN t[2] = 'VARCHAR' THEN try_cast(v[2] AS TIMESTAMPTZ) END AS event_at,
        v[3] AS "user", v[4] AS country, v[5] AS kind, try_cast(v[6] AS BIGINT) AS cents, v[7] AS email
    FROM fields
)
SELECT *, CASE
    WHEN kind_of_record IS DISTINCT FROM 'OBJECT' THEN 'record'
    WHEN t[1] IS DISTINCT FROM 'VARCHAR' OR NOT regexp_full_match(id, 'e[0-9]+') THEN 'id'
    WHEN event_at IS NULL THEN 'at'
    WHEN t[3] IS DISTINCT FROM 'VARCHAR' OR "user" = '' THEN 'user'
    WHEN t[4] IS DISTINCT FROM 'VARCHAR' OR country NOT IN {countries} THEN 'country'
    WHEN t[5] IS DISTINCT FROM 'VARCHAR' OR kind NOT IN {kinds} THEN 'kind'
    WHEN t[6] IS NULL OR t[6] NOT IN ('UBIGINT', 'BIGINT') OR cents IS NULL OR cents < 1 THEN 'cents'
    WHEN t[7] IS NOT NULL AND t[7] NOT IN ('VARCHAR', 'NULL') THEN 'email'
END AS field FROM typed
"""

_WRITE = (
    "CREATE TEMP TABLE judged_once AS SELECT * FROM judged",
    """COPY (SELECT id, "user", country, kind, cents, event_at AS at,
           left(sha256('{outer}'::BLOB || unhex(sha256('{inner}'::BLOB || email::BLOB))), 32) AS email
       FROM judged_once WHERE field IS NULL) TO '{output}/rows/part.parquet' (FORMAT parquet, COMPRESSION zstd)""",
    """COPY (SELECT line AS payload, field FROM judged_once WHERE field IS NOT NULL)
       TO '{output}/dead_letters/part.parquet' (FORMAT parquet, COMPRESSION zstd)""",
    """COPY (SELECT time_bucket(INTERVAL 1 MINUTE, event_at) AS window_start, country, kind, count(*) AS events,
           sum(cents)::BIGINT AS total, max(cents) AS largest
       FROM judged_once WHERE field IS NULL GROUP BY ALL)
       TO '{output}/aggregates/part.parquet' (FORMAT parquet, COMPRESSION zstd)""",
)


def _blob(data: bytes) -> str:
    return "".join(f"\\x{byte:02X}" for byte in data)


def run(source: str, output: str) -> None:
    """Judge every line once, then write the three outputs."""
    for folder in ("rows", "dead_letters", "aggregates"):
        Path(output, folder).mkdir(parents=True)
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    database.execute(_PARSED.format(source=source, countries=COUNTRIES, kinds=KINDS))
    for statement in _WRITE:
        database.execute(statement.format(output=output, inner=_blob(INNER), outer=_blob(OUTER)))


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
