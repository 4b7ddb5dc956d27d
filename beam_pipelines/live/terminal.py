"""The view of a running job as a table for a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from beam_pipelines.live.view import View

_QUIET_SECONDS = 30.0  # without a word of any worker, after which that is said


def drawn(view: View) -> Group:
    """Draw it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    for title, rows in _sections(view):
        for number, (value, what) in enumerate(rows):
            table.add_row(title if number == 0 else "", Text(value), Text(what))
    quiet = time.time() - view.at
    said = f"no worker has told anything for {quiet:,.0f} s" if quiet > _QUIET_SECONDS else "numbers are attempts"
    return Group(Text(f"run {view.run_id}  ({said})"), table)


def _sections(view: View) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    rate = "…" if view.rate is None else f"{view.rate:,.0f}"
    yield "rows/s", [(rate, "read")]
    yield "rows", [(f"{number:,}", what) for what, number in sorted(view.outcomes.items())]
    yield "written", [(f"{number:,}", folder) for folder, number in sorted(view.written.items())]
    yield "watermark lag", [(f"{seconds:,.0f} s", source) for source, seconds in sorted(view.lag.items())]
    yield (
        "backlog",
        [
            (f"{rows:,}", f"{source} {partition}")
            for source, parts in sorted(view.backlog.items())
            for partition, rows in sorted(parts.items())
        ],
    )
    yield "dead letters", [(f"{number:,}", rule) for rule, number in view.dead_letters.items()]
    yield "circuits", [(state, endpoint) for endpoint, state in sorted(view.circuits.items())]
    yield "tried again", [(f"{number:,}", endpoint) for endpoint, number in sorted(view.retries.items())]
