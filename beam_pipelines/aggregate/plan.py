"""What is kept of each group, and what is computed from it at the end: the plan of an aggregation."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any
from typing import Literal as OneOf

import pyarrow as pa

from beam_pipelines.columnar.expressions import Expression
from beam_pipelines.columnar.expressions.node import Column, Node, columns_of
from beam_pipelines.columnar.expressions.types import INTEGER, TIMESTAMP
from beam_pipelines.contract.model import RESERVED_PREFIX
from beam_pipelines.window.spec import Window

WINDOW_START = "window_start"
WINDOW_END = "window_end"
ROWS = "__rows"
MIN_TIME = "__min_time"
MAX_TIME = "__max_time"

PARTIAL_VERSION = b"1"
"""Version of the columns of a partial, in its schema's metadata; they outlive a release in a stream's state."""

_VERSION_KEY = b"aggregate.partial"

Kind = OneOf[
    "count", "sum", "float_sum", "float_products", "min", "max", "min_by", "max_by", "distinct", "tally", "frequent",
    "hll", "steps",
]  # fmt: skip
"""How a state is kept; `states.KEPT` has the kernels of each."""


@dataclasses.dataclass(frozen=True)
class State:
    """One column of a partial: what is kept of `argument`, and how two of them merge."""

    kind: Kind
    argument: Node
    type: pa.DataType
    sql: str


@dataclasses.dataclass(frozen=True)
class Call:
    """One aggregate call: its states, none for count(*), and the type of its value."""

    function: str
    states: tuple[State, ...]
    type: pa.DataType
    sql: str
    parameters: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class Output:
    """One column of the result: an expression over the values of calls, named by their SQL."""

    name: str
    expression: Expression


@dataclasses.dataclass(frozen=True)
class AggregationPlan:
    """All that a worker needs to aggregate; it pickles without a parser."""

    keys: tuple[Column, ...]
    window: Window
    event_time: Column | None
    calls: tuple[Call, ...]
    outputs: tuple[Output, ...]

    @cached_property
    def states(self) -> dict[str, State]:
        """The states by their column in a partial; calls that need the same one share it."""
        found: dict[tuple[str, str, pa.DataType], State] = {}
        for call in self.calls:
            for state in call.states:
                found.setdefault(_identity(state), state)
        return {f"{RESERVED_PREFIX}s{place}": state for place, state in enumerate(found.values())}

    @cached_property
    def _columns(self) -> dict[tuple[str, str, pa.DataType], str]:
        return {_identity(state): name for name, state in self.states.items()}

    def column_of(self, state: State) -> str:
        """Name of the partial's column that holds a state."""
        return self._columns[_identity(state)]

    @cached_property
    def partial_schema(self) -> pa.Schema:
        """Columns of a partial: the key (window_start, group columns), the bookkeeping, the states."""
        return pa.schema(
            [
                *((name, kind) for name, kind in self.key_types.items()),
                (ROWS, INTEGER),
                (MIN_TIME, TIMESTAMP),
                (MAX_TIME, TIMESTAMP),
                *((name, state.type) for name, state in self.states.items()),
            ],
            metadata={_VERSION_KEY: PARTIAL_VERSION},
        )

    @cached_property
    def columns(self) -> frozenset[str]:
        """Names of the columns that are read."""
        nodes = [state.argument for state in self.states.values()]
        times = [] if self.event_time is None else [self.event_time]
        return frozenset(name for node in (*nodes, *self.keys, *times) for name in columns_of(node))

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Names of the columns to group by."""
        return tuple(key.name for key in self.keys)

    @property
    def key_types(self) -> dict[str, pa.DataType]:
        return {WINDOW_START: TIMESTAMP, **{key.name: key.type for key in self.keys}}

    @cached_property
    def output_schema(self) -> pa.Schema:
        """Columns of the result: window_start, window_end, group columns, aggregates. All are nullable."""
        return pa.schema(
            [
                (WINDOW_START, TIMESTAMP),
                (WINDOW_END, TIMESTAMP),
                *((key.name, key.type) for key in self.keys),
                *((output.name, output.expression.type) for output in self.outputs),
            ]
        )

    @cached_property
    def pane_schema(self) -> pa.Schema:
        """The output schema, and `__rows`: how many rows each group was computed from."""
        return self.output_schema.append(pa.field(ROWS, INTEGER))


def _identity(state: State) -> tuple[str, str, pa.DataType]:
    return state.kind, state.sql, state.type
