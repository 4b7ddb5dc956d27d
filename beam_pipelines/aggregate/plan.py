"""What is kept of each group, and what is computed from it at the end: the plan of an aggregation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Literal as OneOf

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate import exact_sum
from beam_pipelines.columnar.expressions import Expression
from beam_pipelines.columnar.expressions.casts import convert
from beam_pipelines.columnar.expressions.node import Column, Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.types import (
    FLOAT,
    INTEGER,
    MAX_DIGITS,
    TIMESTAMP,
    computed_type,
    kind_of,
    name_of,
    take,
)
from beam_pipelines.contract.model import RESERVED_PREFIX
from beam_pipelines.errors import ExpressionError, UsageError
from beam_pipelines.window.spec import NO_WINDOW, Window, parse_window

WINDOW_START = "window_start"
WINDOW_END = "window_end"
ROWS = "__rows"
MIN_TIME = "__min_time"
MAX_TIME = "__max_time"

PARTIAL_VERSION = b"1"
"""Version of the columns of a partial, in its schema's metadata; they outlive a release in a stream's state."""

_VERSION_KEY = b"aggregate.partial"

Kind = OneOf["count", "sum", "float_sum", "min", "max", "distinct"]


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
        distinct = dict.fromkeys((state.kind, state.sql) for call in self.calls for state in call.states)
        first = {(state.kind, state.sql): state for call in self.calls[::-1] for state in call.states}
        return {f"{RESERVED_PREFIX}s{place}": first[key] for place, key in enumerate(distinct)}

    def column_of(self, state: State) -> str:
        """Name of the partial's column that holds a state."""
        return next(name for name, known in self.states.items() if (known.kind, known.sql) == (state.kind, state.sql))

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


def plan_aggregation(
    schema: pa.Schema,
    aggregates: str,
    *,
    group_by: Sequence[str] = (),
    window: Window | str = NO_WINDOW,
    event_time: str | None = None,
) -> AggregationPlan:
    """Check and compile an aggregation over batches of a schema.

    `group_by` names columns of any type but floats and nested ones; nulls form one group. With a window,
    `event_time` names a timestamp or date column. ExpressionError or UsageError says what is wrong.
    """
    # Imported here: the grammar needs the parser, and a worker that unpickles a plan does not.
    from beam_pipelines.aggregate.grammar import parse_aggregates, resolve_group_by

    window = parse_window(window)
    names = resolve_group_by([group_by] if isinstance(group_by, str) else group_by, schema)
    keys = tuple(_key(name, schema) for name in names)
    if window.kind != "none" and event_time is None:
        raise UsageError(f"window {window} needs an event time: say which column it is, or mark it in the contract")
    calls, outputs = parse_aggregates(aggregates, schema, names)
    times = None if event_time is None else _event_time(event_time, schema)
    return AggregationPlan(keys, window, times, calls, outputs)


def make_call(function: str, argument: Node | None, distinct: bool, sql: str) -> Call:
    """Choose the states of a call; `argument` is None for count(*). OperandError when its type doesn't fit."""
    if argument is None:
        return Call("rows", (), INTEGER, sql)
    if function == "count":
        if not distinct:
            return Call("count", (State("count", argument, INTEGER, argument.sql),), INTEGER, sql)
        argument = _with_order("count(distinct)", argument)
        return Call("distinct", (State("distinct", argument, pa.list_(argument.type), argument.sql),), INTEGER, sql)
    if function in ("min", "max"):
        argument = _with_order(function, argument)
        kind: Kind = "min" if function == "min" else "max"
        return Call(kind, (State(kind, argument, argument.type, argument.sql),), argument.type, sql)
    if distinct:
        raise OperandError(f"'{sql}': DISTINCT is supported in count only")
    total = _sum(function, argument)
    if function == "sum":
        is_integer = kind_of(argument.type) == "integer"
        type = FLOAT if total.kind == "float_sum" else INTEGER if is_integer else total.type
        return Call("sum", (total,), type, sql)
    return Call("avg", (total, State("count", argument, INTEGER, argument.sql)), FLOAT, sql)


def _sum(function: str, argument: Node) -> State:
    take(argument, ("integer", "decimal", "float"), function)
    kind = kind_of(argument.type)
    if kind == "null":
        raise OperandError(f"{function}(NULL) has no type: CAST it")
    if kind == "float":
        return State("float_sum", argument, exact_sum.STATE, argument.sql)
    # 128 bits hold any sum of 2**63 integers, so only the final value is checked to fit int64.
    exact = argument if kind == "decimal" else convert(argument, pa.decimal128(19, 0))
    return State("sum", exact, pa.decimal128(MAX_DIGITS, exact.type.scale), argument.sql)


def _with_order(function: str, argument: Node) -> Node:
    kind = kind_of(argument.type)
    if kind in ("null", "other"):
        raise OperandError(f"{function} can't compare values of type {name_of(argument.type)}")
    return apply(_one_zero, (argument,), FLOAT, argument.sql) if kind == "float" else argument


def _one_zero(values: Values) -> Values:
    """-0.0 becomes 0.0 and every NaN the same one, or equal values would depend on which came first."""
    return pc.if_else(pc.is_nan(values), float("nan"), pc.add(values, 0.0))


def _key(name: str, schema: pa.Schema) -> Column:
    if name.startswith(RESERVED_PREFIX) or name.lower() in (WINDOW_START, WINDOW_END):
        raise ExpressionError(f"group_by: column '{name}' has the name of a result's own column; rename it first")
    stored = schema.field(name).type
    try:
        type = computed_type(stored)
    except OperandError as error:
        raise ExpressionError(f"group_by: column '{name}' {error}") from None
    if kind_of(type) == "float":
        raise ExpressionError(
            f"group_by: column '{name}' is {stored}, and floats make no groups (0.1 + 0.2 is not 0.3): "
            "use a decimal, or derive a rounded integer"
        )
    if kind_of(type) in ("other", "null"):
        raise ExpressionError(
            f"group_by: column '{name}' is {stored}; groups are made of strings, integers, decimals, booleans, "
            "dates and timestamps"
        )
    return Column(name, stored, type, name)


def _event_time(name: str, schema: pa.Schema) -> Column:
    from beam_pipelines.columnar.expressions.compile import find_column

    name = find_column(name, schema)
    stored = schema.field(name).type
    try:
        type = computed_type(stored)
    except OperandError as error:
        raise ExpressionError(f"event time: column '{name}' {error}") from None
    if kind_of(type) == "date":  # the day's first moment in UTC, as validation stamps it
        return Column(name, stored, TIMESTAMP, name)
    if kind_of(type) != "timestamp":
        raise ExpressionError(f"event time: column '{name}' is {name_of(type)}, and a timestamp or date is needed")
    return Column(name, stored, type, name)
