"""How rows flowed: the graph's steps, laid out in layers, with counts on its edges from the ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from beam_pipelines import ledger

LEAVING = (ledger.DEAD_LETTERED, ledger.DUPLICATE, ledger.FILTERED)
"""Outcomes by which rows leave the road at a stage."""


@dataclasses.dataclass
class Node:
    """A step as drawn: where it stands, and how many rows came, went on, and left here by outcome."""

    name: str
    transform: str
    layer: int
    column: int
    came: int
    went: int
    left: dict[str, int]
    ends: bool
    """Whether it writes, so that nothing goes on."""


@dataclasses.dataclass(frozen=True)
class Edge:
    """Rows from one step to another."""

    source: Node
    target: Node
    rows: int
    refused: bool


@dataclasses.dataclass(frozen=True)
class Flow:
    """The drawing's nodes and edges, and how many layers and columns it needs."""

    nodes: list[Node]
    edges: list[Edge]
    layers: int
    columns: int


def flow(steps: Sequence[Mapping[str, Any]], stages: Iterable[Mapping[str, Any]], written: Mapping[str, int]) -> Flow:
    """Lay out the steps of a manifest's `graph`.

    `stages` are the entries of `balance.json`; `written` tells the rows of each folder's files.

    >>> steps = [{"name": "Read", "transform": "ReadFiles", "inputs": []},
    ...          {"name": "Write", "transform": "WriteToLake(rows)", "inputs": ["Read"]}]
    >>> stages = [{"stage": "ReadFiles", "outcome": "read", "rule": "", "output": "", "rows": 7}]
    >>> [edge.rows for edge in flow(steps, stages, {"rows": 7}).edges]
    [7]
    """
    counted: dict[str, dict[str, int]] = {}
    for entry in stages:
        outcomes = counted.setdefault(entry["stage"], {})
        outcomes[entry["outcome"]] = outcomes.get(entry["outcome"], 0) + entry["rows"]
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    taken: set[tuple[int, int]] = set()
    for step in _leading_to_writes(steps):
        parents = [nodes[name] for name in step["inputs"] if name in nodes]
        kind, _, argument = step["transform"].partition("(")
        if kind == "FinalizeRun" or (step["inputs"] and not parents):
            continue
        refused = kind == "WriteDeadLetters"
        counts = {} if refused else counted.pop(kind, {})
        came = sum(parent.left.get(ledger.DEAD_LETTERED, 0) if refused else parent.went for parent in parents)
        if kind == "WriteToLake":
            came = written.get(argument.rstrip(")"), came)
        came += counts.get(ledger.READ, 0)
        left = {outcome: counts[outcome] for outcome in LEAVING if counts.get(outcome)}
        layer = 1 + max((parent.layer for parent in parents), default=-1)
        column = max((parent.column for parent in parents), default=-1) + (1 if refused or not parents else 0)
        while (layer, column) in taken:
            column += 1
        taken.add((layer, column))
        node = Node(
            step["name"],
            step["transform"],
            layer,
            column,
            came,
            came - sum(left.values()),
            left,
            kind.startswith("Write"),
        )
        nodes[node.name] = node
        edges += [
            Edge(parent, node, _rows(parent, node, refused, alone=len(parents) == 1), refused) for parent in parents
        ]
    shown = list(nodes.values())
    return Flow(
        shown,
        edges,
        1 + max((node.layer for node in shown), default=-1),
        1 + max((node.column for node in shown), default=-1),
    )


def _leading_to_writes(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The steps whose rows end in a sink; those that read a table for a join, say, are left out."""
    leading: set[str] = set()
    for step in reversed(steps):
        if step["transform"].startswith("Write") or step["name"] in leading:
            leading |= {step["name"], *step["inputs"]}
    return [step for step in steps if step["name"] in leading]


def _rows(parent: Node, node: Node, refused: bool, alone: bool) -> int:
    if refused:
        return parent.left.get(ledger.DEAD_LETTERED, 0)
    return node.came if alone and node.ends else parent.went
