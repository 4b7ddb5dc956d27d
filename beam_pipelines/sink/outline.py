"""The outline of a graph: its top-level transforms and how they are joined, for whoever draws the run."""

from __future__ import annotations

from typing import Any, TypedDict


class Step(TypedDict):
    """A top-level transform: its label, what it calls itself by default, and the labels it reads from."""

    name: str
    transform: str
    inputs: list[str]


def outline(pipeline: Any) -> list[Step]:
    """Return the top-level transforms that a `beam.Pipeline` has so far, in the order they were applied.

    >>> import apache_beam as beam
    >>> pipeline = beam.Pipeline(runner="FnApiRunner")
    >>> _ = pipeline | "Read" >> beam.Create([1]) | "Write" >> beam.Map(print)
    >>> outline(pipeline)[1]
    {'name': 'Write', 'transform': 'ParDo(CallableWrapperDoFn)', 'inputs': ['Read']}
    """
    top = pipeline._root_transform()
    steps: list[Step] = []
    for part in top.parts:
        sources = [_below(top, collection.producer) for collection in part.main_inputs.values()]
        steps.append(
            Step(
                name=part.full_label,
                transform=part.transform.default_label(),
                inputs=list(dict.fromkeys(source.full_label for source in sources if source is not None)),
            )
        )
    return steps


def _below(top: Any, applied: Any) -> Any:
    """The top-level transform that an applied transform is a part of."""
    while applied is not None and applied.parent is not top:
        applied = applied.parent
    return applied
