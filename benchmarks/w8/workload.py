"""W8's sides."""

from __future__ import annotations

from benchmarks.w8 import data
from benchmarks.workload import Side, Table, Workload

_COLUMNS = "origin, dest, carrier, flight, dep_time, dep_delay, arr_delay, air_time, distance"
_FLIGHTS = f"""(SELECT {_COLUMNS}, time_hour::TIMESTAMPTZ AS time_hour, tailnum
        FROM read_json('{{source}}/*.jsonl.gz', format = 'newline_delimited')
    UNION ALL SELECT {_COLUMNS}, time_hour::TIMESTAMPTZ, tailnum
        FROM read_csv('{{source}}/*.csv', nullstr = 'NA'))"""
_GOOD = """dep_time BETWEEN 1 AND 2400 AND coalesce(dep_delay, 0) <= 360 AND coalesce(air_time, 1) >= 1
    AND distance >= 1 AND flight >= 1 AND regexp_full_match(dest, '[A-Z]{3}') AND length(carrier) = 2
    AND origin IN ('EWR', 'JFK', 'LGA')"""

W8 = Workload(
    name="W8",
    title="real flights",
    says="Eleven files of gzipped JSON Lines and one of CSV → rows that keep the contract, the others apart, and daily "
    "counts and delays by origin and carrier.",
    sides=(
        Side(
            "beam_pipelines",
            "benchmarks.event_analytics",
            "`event_analytics`, with the demo's contract",
            arguments=(
                "--input={source}/*.jsonl.gz,{source}/*.csv",
                "--contract=examples/flights/flights.odcs.yaml",
                "--csv_nulls=NA",
                "--window=fixed:1d",
                "--group_by=origin,carrier",
                "--aggregate=count(*) as flights, sum(distance) as miles, max(dep_delay) as worst",
            ),
        ),
        Side(
            "duckdb",
            "benchmarks.parquet_duckdb",
            "SQL, types guessed, no reasons in what is refused",
            "duckdb",
            arguments=(
                f"rows=SELECT * REPLACE (left(sha256(tailnum), 32) AS tailnum) FROM {_FLIGHTS} WHERE {_GOOD}",
                f"dead_letters=SELECT * FROM {_FLIGHTS} WHERE NOT coalesce({_GOOD}, FALSE)",
                "aggregates=SELECT time_bucket(INTERVAL 1 DAY, time_hour) AS window_start, origin, carrier, "
                "count(*) AS flights, sum(distance)::BIGINT AS miles, max(dep_delay) AS worst "
                f"FROM {_FLIGHTS} WHERE {_GOOD} GROUP BY ALL",
            ),
        ),
    ),
    source=data.folder,
    tables=(
        Table("rows", f"{_COLUMNS}, time_hour::TIMESTAMPTZ", "count(DISTINCT tailnum)"),
        Table("dead_letters", "1"),
        Table("aggregates", "window_start::TIMESTAMPTZ, origin, carrier, flights, miles, worst::BIGINT"),
    ),
    reference="duckdb",
    sizes=(data.ROWS,),
    quick=data.ROWS,
)
