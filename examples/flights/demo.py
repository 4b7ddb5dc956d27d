"""`make demo`: run `event_analytics` on every flight that left New York City in 2013, and look at the result."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pyarrow.dataset as ds

from beam_pipelines.sink import new_run_id
from examples.flights.prepare import prepare
from examples.flights.train import train

HERE = Path(__file__).parent
COMMAND = [
    *("run", "event_analytics"),
    *("--input", "{flights}/*.jsonl.gz,{flights}/*.csv"),
    *("--contract", "{contract}"),
    *("--csv_nulls", "NA"),
    *("--join", "{flights}/tables/airlines.csv on carrier take (name as airline)"),
    *("--join", "{flights}/tables/weather.csv on origin asof time_hour within 3h take (wind_speed)"),
    *("--derive", "windy = wind_speed > 20"),
    *("--model", "{model}"),
    *("--window", "fixed:1d", "--group_by", "origin,airline"),
    (
        "--aggregate=count(*) as flights, count_if(windy) as windy, avg(dep_delay) as mean_delay, "
        "max(dep_delay) as worst_delay, sum(p_late) as expected_late, count_if(arr_delay > 30) as late, "
        "sum(distance) as miles, count(distinct tailnum) as aircraft"
    ),
    *("--output", "{lake}"),
]


def command(flights: Path, model: Path, lake: Path) -> list[str]:
    """Return the demo's arguments of `beam-pipelines`: read `flights`, score with `model`, write to `lake`."""
    places = {"flights": flights, "contract": HERE / "flights.odcs.yaml", "model": model, "lake": lake}
    return [part.format(**places) for part in COMMAND]


def show(lake: Path, run_id: str) -> None:
    """Print the busiest airline-days of a run, from the files that its manifest names."""
    manifest = json.loads((lake / "_runs" / run_id / "manifest.json").read_text())
    files = [lake / file["path"] for file in manifest["files"] if file["folder"] == "aggregates"]
    days = (
        ds.dataset(files, format="parquet")
        .to_table()
        .sort_by([("flights", "descending"), ("window_start", "ascending"), ("airline", "ascending")])
    )
    print("\nBusiest airline-days:")
    print(
        f"  {'day':<12}{'from':<6}{'airline':<26}{'flights':>8}{'windy':>7}{'mean delay':>12}"
        f"{'late':>6}{'expected':>10}{'aircraft':>10}"
    )
    for row in days.slice(0, 5).to_pylist():
        print(
            f"  {row['window_start']:%Y-%m-%d}  {row['origin']:<6}{row['airline']:<26}{row['flights']:>8}"
            f"{row['windy']:>7}{row['mean_delay']:>12.1f}{row['late']:>6}"
            f"{row['expected_late']:>10.1f}{row['aircraft']:>10}"
        )


def main() -> int:
    """Prepare the data, run the pipeline as a person would, show what came out."""
    home = Path(os.path.relpath("demo"))
    prepare(home / "flights")
    lake = home / "lake"
    arguments = [
        os.path.relpath(part) if part.startswith(str(HERE)) else part
        for part in command(home / "flights", train(home / "flights", home / "model"), lake)
    ]
    # Tail numbers become keyed pseudonyms. The key is the team's secret; the demo's lasts for this run.
    environment = {**os.environ, "BEAM_PIPELINES_MASK_KEY": f"demo:{secrets.token_hex(32)}"}
    print("$ beam-pipelines " + shlex.join(arguments), flush=True)
    run_id = new_run_id(datetime.now(timezone.utc))
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "beam_pipelines", *arguments, "--run_id", run_id], env=environment, check=False
    )
    if done.returncode:
        return done.returncode
    show(lake, run_id)
    print(
        f"\n{time.monotonic() - started:.0f} s. Look around: {lake}/ (python -m beam_pipelines dead-letters cat {lake})"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
