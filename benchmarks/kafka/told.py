"""What the page says of the stream as it runs, from `streams.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SAYS = (
    "The job of the table above without an end, on Prism, with clicks written at a steady rate by one more process. "
    "Broker, Prism, worker and writer share two cores with whatever else runs there: the load says how many processes "
    "wanted these. A rate is held if less than 3 s of messages wait at the end of 12 s; the highest is found by "
    "doubling and then halving. Latency is when the broker appended a record to its topic, less the end of its window, "
    "over all records; those of a window come together, so that of 21 windows p99 is the last one. Counts are exact if "
    "each window has what was written into it, once.",
    "What a result waits for: `out_of_orderness`; a poll (0.1 s); the bundle that reads (at most `bundle`, and as much "
    "again for each other reader that Prism has in it), at whose end the watermark moves; and the bundles of the "
    "stages behind it (window, then write), which take longer on a busy machine. Prism has no checkpoint interval; "
    "Flink wasn't measured.",
    "Readers of a process tell the least of their watermarks, since Prism 2.77 takes that of the reader whose bundle "
    "ended last. So four readers' results are exact, and come later than one reader's. Their memory still grew within "
    "these minutes, by 10 to 20%, where one reader's grew by 3%: whether it levels off wasn't looked at for longer.",
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
    commands = (f"python -m benchmarks.kafka {run['what']} --options '{run['options']}'" for run in runs)
    return [*lines, "", "```", *commands, "```", ""]


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
