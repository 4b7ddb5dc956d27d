"""What kernels cost by themselves, in one process and without Beam: `python -m benchmarks.kernels [ROWS]`.

Runs `benchmarks.aggregates`, `benchmarks.transforms` and `benchmarks.formats` and writes what they print, with how it
is to be read, to `benchmarks/KERNELS.md`.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys

from benchmarks.results import ROOT

PAGE = ROOT / "benchmarks" / "KERNELS.md"
_PARTS = {
    "aggregates": (
        "Aggregates",
        "Nanoseconds of CPU a row, beyond those of `count(*)`, which are told. `price` has 1,000 values, `word` 500 of "
        "which few are frequent, `x` and `id` a new one in each row.",
    ),
    "transforms": ("Changes and joins", "Nanoseconds of CPU a row, in batches of 16,384."),
    "formats": ("Formats", "From the file to the contract's columns and back: 8 fields, 157 bytes a row as JSON."),
}


def main() -> None:
    """Run them one after the other, and write the page."""
    rows = sys.argv[1] if len(sys.argv) > 1 else "100000"
    lines = [
        "# What kernels cost",
        "",
        f"Written by `python -m benchmarks.kernels {rows}` on {datetime.date.today().isoformat()}; not by hand.",
        f"CPU time of one process on a machine of {os.cpu_count()} cores that were busy with much else, so up to twice",
        f"what an idle one needs; {int(rows):,} rows.",
        "",
    ]
    for module, (title, how) in _PARTS.items():
        command = [sys.executable, "-m", f"benchmarks.{module}", rows]
        printed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        table = printed if printed.startswith("|") else f"```\n{printed}\n```"
        lines += [f"## {title}", how, "", table, ""]
    PAGE.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
