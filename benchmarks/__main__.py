"""Measure, write `benchmarks/results.json` and `BENCHMARKS.md`.

python -m benchmarks                                  everything: hours
python -m benchmarks --quick                          a part of it: minutes
python -m benchmarks W1 --rows 2000000 --sides beam_pipelines,duckdb --runs 5
python -m benchmarks --page                           only write the page from the results
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import page, running
from benchmarks.catalogue import WORKLOADS


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "workloads", nargs="*", help=f"of {', '.join(WORKLOADS).replace('%', '%%')}; all unless some are named"
    )
    parser.add_argument("--quick", action="store_true", help="few rows, once, and not all workloads")
    parser.add_argument("--rows", type=lambda text: [int(each) for each in text.split(",")], help="sizes, with commas")
    parser.add_argument("--sides", help="implementations, with commas")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--slow-runs", type=int, default=3, help="runs of the slow sides")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave what the sides write there")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    unknown = set(asked.workloads) - WORKLOADS.keys()
    if unknown:
        parser.error(f"there is no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    for name in [] if asked.page else asked.workloads or WORKLOADS:
        workload = WORKLOADS[name]
        if asked.quick and workload.quick is None:
            continue
        for rows in asked.rows or ([workload.quick] if asked.quick else workload.sizes):
            sides = [
                side
                for side in workload.sides
                if (not asked.sides or side.implementation in asked.sides.split(","))
                and (side.most_rows is None or rows <= side.most_rows)
            ]
            runs, slow = (1, 1) if asked.quick else (asked.runs, asked.slow_runs)
            running.measure(workload, rows, sides, runs, slow, asked.keep)
    page.write()


if __name__ == "__main__":
    main()
