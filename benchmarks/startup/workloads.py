"""Start-up, beside that of what we are built on."""

from __future__ import annotations

from functools import partial

from benchmarks.events import data
from benchmarks.w1.workload import OURS
from benchmarks.workload import Side, Workload

HELP = Workload(
    name="--help",
    title="the command line's help",
    says="Beside Python doing nothing.",
    sides=(
        Side("beam_pipelines", "benchmarks.startup.help", "`beam-pipelines --help`"),
        Side("python", "benchmarks.startup.bare_python", "an empty module"),
    ),
    source=data.file,
    tables=(),
    reference=None,
    sizes=(1,),
    quick=1,
)
SMALL = Workload(
    name="1,000 rows",
    title="W1 with 1,000 rows",
    says="Beside the least that a Beam pipeline does with them, in the same environment.",
    sides=(
        OURS,
        Side("beam_bare", "benchmarks.startup.bare_beam", "read, parse, write as Parquet; nothing is checked"),
    ),
    source=partial(data.file, bad_share=0.0),
    tables=(),
    reference=None,
    sizes=(1_000,),
    quick=1_000,
)
ALL = (HELP, SMALL)
