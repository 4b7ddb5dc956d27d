"""The demo's numbers, computed a second time by DuckDB straight from the source files."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import duckdb
import joblib
import numpy as np
import pytest

from beam_pipelines.launch.cli import main
from examples.flights.demo import command
from examples.flights.prepare import prepare
from examples.flights.train import FEATURES, train


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flights")
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def model(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(flights, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def lake(flights: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEAM_PIPELINES_MASK_KEY", f"test:{secrets.token_hex(32)}")
        assert main([*command(flights, model, folder), "--run_id", "flights"]) == 0
    return folder


@pytest.fixture(scope="module")
def source(flights: Path) -> duckdb.DuckDBPyConnection:
    """Every flight as it stands in the files, typed by DuckDB."""
    columns = "time_hour, origin, dest, carrier, flight, tailnum, dep_time, dep_delay, arr_delay, air_time, distance"
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.execute(
        f"CREATE TABLE flights AS SELECT {columns} FROM read_json('{flights}/*.jsonl.gz') "
        f"UNION ALL SELECT {columns} FROM read_csv('{flights}/*.csv', nullstr='NA')"
    )
    # The latest weather of the airport, of at most three hours ago; of two reports of one hour the last in the file.
    database.execute(
        f"""CREATE TABLE weather AS SELECT origin, time_hour AS reported, last(wind_speed ORDER BY place) AS wind_speed
            FROM (SELECT *, row_number() OVER () AS place FROM read_csv('{flights}/tables/weather.csv', nullstr='NA'))
            GROUP BY ALL"""
    )
    database.execute(
        f"""CREATE TABLE joined AS
            SELECT f.*, a.name AS airline,
                   CASE WHEN f.time_hour - w.reported <= INTERVAL 3 HOURS THEN w.wind_speed END AS wind_speed
            FROM flights f LEFT JOIN read_csv('{flights}/tables/airlines.csv') a USING (carrier)
            ASOF LEFT JOIN weather w ON f.origin = w.origin AND f.time_hour >= w.reported"""
    )
    return database


VALID = "dep_time IS NOT NULL AND (dep_delay IS NULL OR dep_delay <= 360)"


def test_every_flight_is_accounted_for(lake: Path, source: duckdb.DuckDBPyConnection) -> None:
    balance = json.loads((lake / "_runs/flights/balance.json").read_text())
    read, valid, cancelled, very_late = source.execute(
        f"SELECT count(*), count(*) FILTER ({VALID}), count(*) FILTER (dep_time IS NULL), "
        "count(*) FILTER (dep_delay > 360) FROM flights"
    ).fetchall()[0]
    assert (read, cancelled, very_late) == (336_776, 8_255, 244)
    assert balance["balanced"] is True
    assert balance["differences"] == []
    assert {name: balance[name] for name in ("read", "written", "dead_lettered", "duplicate", "late", "filtered")} == {
        "read": read,
        "written": valid,
        "dead_lettered": cancelled + very_late,
        "duplicate": 0,
        "late": 0,
        "filtered": 0,
    }
    assert balance["dead_letters_by_rule"] == {"required": cancelled, "maximum": very_late}


def test_what_the_tables_don_t_know_is_counted(lake: Path, source: duckdb.DuckDBPyConnection) -> None:
    balance = json.loads((lake / "_runs/flights/balance.json").read_text())
    found = {each["rule"]: each["rows"] for each in balance["stages"] if each["outcome"] == "unmatched"}
    lost = source.execute(
        f"""SELECT count(*) FROM flights f ASOF LEFT JOIN weather w ON f.origin = w.origin AND f.time_hour >= w.reported
            WHERE {VALID} AND (w.reported IS NULL OR f.time_hour - w.reported > INTERVAL 3 HOURS)"""
    ).fetchall()[0][0]
    assert found.get("weather.csv", 0) == lost
    assert "airlines.csv" not in found


def test_the_rows_are_the_valid_flights(lake: Path, source: duckdb.DuckDBPyConnection) -> None:
    shown = "time_hour, origin, dest, carrier, airline, flight, dep_time, dep_delay, arr_delay, air_time, distance"
    shown += ", wind_speed"
    differing = source.execute(
        f"""SELECT count(*) FROM (
            (SELECT {shown} FROM joined WHERE {VALID}
             EXCEPT ALL SELECT {shown} FROM read_parquet('{lake}/rows/*.parquet'))
            UNION ALL
            (SELECT {shown} FROM read_parquet('{lake}/rows/*.parquet')
             EXCEPT ALL SELECT {shown} FROM joined WHERE {VALID}))"""
    ).fetchall()
    assert differing == [(0,)]


def test_tail_numbers_are_pseudonyms_and_tell_aircraft_apart(lake: Path, source: duckdb.DuckDBPyConnection) -> None:
    aircraft, tails = source.execute(
        f"SELECT (SELECT count(DISTINCT tailnum) FROM flights WHERE {VALID}), "
        f"(SELECT count(DISTINCT tailnum) FROM read_parquet('{lake}/rows/*.parquet'))"
    ).fetchall()[0]
    assert tails == aircraft
    clear = source.execute(
        f"SELECT count(*) FROM read_parquet('{lake}/rows/*.parquet') r SEMI JOIN flights f ON r.tailnum = f.tailnum"
    ).fetchall()
    assert clear == [(0,)]


def test_the_aggregates_are_those_of_the_valid_flights(lake: Path, source: duckdb.DuckDBPyConnection) -> None:
    expected = source.execute(
        f"""SELECT time_bucket(INTERVAL 1 DAY, time_hour, TIMESTAMPTZ '1970-01-01 00:00:00Z') AS day, origin, airline,
                   count(*), avg(dep_delay), max(dep_delay), sum(distance)::BIGINT, count(DISTINCT tailnum),
                   count(*) FILTER (wind_speed > 20), count(*) FILTER (arr_delay > 30)
            FROM joined WHERE {VALID} GROUP BY ALL ORDER BY 1, 2, 3"""
    ).fetchall()
    found = source.execute(
        f"""SELECT window_start, origin, airline, flights, mean_delay, worst_delay, miles, aircraft, windy, late
            FROM read_parquet('{lake}/aggregates/*.parquet') ORDER BY 1, 2, 3"""
    ).fetchall()
    assert len(expected) > 10_000
    assert [row[:4] + row[5:] for row in found] == [row[:4] + row[5:] for row in expected]
    assert [row[4] for row in found] == pytest.approx([row[4] for row in expected], rel=1e-12)


def test_scores_are_those_of_the_model_row_by_row(lake: Path, model: Path, source: duckdb.DuckDBPyConnection) -> None:
    loaded = joblib.load(model.parent / json.loads(model.read_text())["file"])
    flights = source.execute(f"SELECT {', '.join(FEATURES)} FROM flights WHERE {VALID}").fetchnumpy()
    expected = loaded.predict_proba(np.column_stack([flights[name] for name in FEATURES]))[:, 1]
    rows = source.execute(f"SELECT p_late, model_id FROM read_parquet('{lake}/rows/*.parquet')").fetchnumpy()
    np.testing.assert_allclose(np.sort(rows["p_late"]), np.sort(expected), rtol=1e-9)
    assert set(rows["model_id"]) == {"late_arrival"}
    total = source.execute(f"SELECT sum(expected_late) FROM read_parquet('{lake}/aggregates/*.parquet')").fetchall()
    assert total[0][0] == pytest.approx(expected.sum(), rel=1e-9)


def test_a_dead_letter_holds_its_flight_unchanged(lake: Path, flights: Path, source: duckdb.DuckDBPyConnection) -> None:
    letters = source.execute(
        f"SELECT payload, source, position, rule, field FROM read_parquet('{lake}/dead_letters/*.parquet') "
        "WHERE source LIKE '%.csv'"
    ).fetchall()
    december = (flights / "flights-2013-12.csv").read_bytes()
    assert len(letters) > 1000
    for payload, origin, position, rule, field in letters:
        assert Path(origin).name == "flights-2013-12.csv"
        assert december[position : position + len(payload)] == payload
        assert december[position + len(payload) : position + len(payload) + 1] == b"\n"
        assert (rule, field) in {("required", "dep_time"), ("maximum", "dep_delay")}
