"""What the page says of the stream as it runs, from `streams.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SAYS = (
    "The job of the table above without an end, on Prism, with clicks written at a steady rate by one more process, "
    "all on this machine (a broker, Prism, the worker and whatever else it did: see the load, of two cores). A rate is "
    "held if less than 3 s of messages wait at the end of 12 s; the highest is found by doubling and then halving. "
    "Latency is when the broker appended a record to its topic, less the end of its window, over all records of all "
    "windows. All windows counted what was written into them, once, where it says so.",
    "A result is late by at most the sum of: `out_of_orderness`, which every window waits; a poll (0.1 s); `bundle` "
    "for each reader, since Prism runs the readers of a job in one bundle, one after another, and moves the watermark "
    "when that ends; and the bundles of the stages behind it (window, then write), which grow with load. Prism has no "
    "checkpoint interval. On Flink with an interval, offsets and files wait for a checkpoint; windows don't.",
)


def section(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Heading, what was measured and how, and the figures; nothing if there are none."""
    if not runs:
        return []
    lines = ["## Kafka: the stream as it runs", ""]
    lines += [line for said in _SAYS for line in (said, "")]
    lines += [
        "| run | options | highest rate held | rate | windows | p50 late | p99 | most | counts exact | load |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for run in runs:
        highest = f"{run['highest_rate']:,} / s" if run["highest_rate"] else "not sought"
        lines.append(
            _row(
                run["what"],
                f"`{run['options']}`" if run["options"] else "defaults",
                highest,
                f"{run['rate']:,} / s",
                run["windows"],
                *(f"{run[name]:.2f} s" for name in ("p50", "p99", "latest")),
                "yes" if run["exact"] else "**NO**",
                run["load"],
            )
        )
    lines += [
        "",
        "Memory, each second: medians of the first and of the last third of the run, and the most.",
        "",
        "| run | seconds | messages | worker MB: first | last | most | runner MB: first | last | most |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        figures = (*run["worker"], *run["runner"])
        written = f"{run['rate'] * run['seconds']:,}"
        lines.append(_row(run["what"], run["seconds"], written, *(f"{each:,}" for each in figures)))
    return [*lines, "", "```", *(f"python -m benchmarks.kafka {run['what']}" for run in runs), "```", ""]


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
