"""`run --dry_run`: everything that can be checked before a row is read, and the graph as a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from beam_pipelines.sink.outline import Step


def drawn(steps: Sequence[Step]) -> Iterator[str]:
    """Draw the steps of a graph as trees; a step that reads from several starts one of its own.

    >>> steps = [Step(name="Read", transform="ReadFiles", inputs=[]),
    ...          Step(name="Decode", transform="DecodeBatches", inputs=["Read"]),
    ...          Step(name="Rows", transform="WriteToLake(rows)", inputs=["Decode"]),
    ...          Step(name="Refused", transform="WriteDeadLetters", inputs=["Read"])]
    >>> print("\\n".join(drawn(steps)))
    Read  ReadFiles
    ├─ Decode  DecodeBatches
    │  └─ Rows  WriteToLake(rows)
    └─ Refused  WriteDeadLetters
    """
    parents = {step["name"]: step["inputs"][0] if len(step["inputs"]) == 1 else None for step in steps}
    for step in steps:
        if parents[step["name"]] is None:
            yield from _tree(step, steps, parents, "", "")


def _tree(step: Step, steps: Sequence[Step], parents: dict[str, str | None], before: str, below: str) -> Iterator[str]:
    several = f"  (from {', '.join(step['inputs'])})" if len(step["inputs"]) > 1 else ""
    yield f"{before}{step['name']}  {step['transform']}{several}"
    children = [each for each in steps if parents[each["name"]] == step["name"]]
    for child in children:
        last = child is children[-1]
        yield from _tree(
            child, steps, parents, f"{below}{'└─ ' if last else '├─ '}", f"{below}{'   ' if last else '│  '}"
        )
