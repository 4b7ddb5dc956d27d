"""What a user asks for, checked and compiled into the plan of an aggregation. It needs the parser; a plan doesn't."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from beam_pipelines.aggregate.grammar import parse_aggregates, resolve_group_by
from beam_pipelines.aggregate.plan import WINDOW_END, WINDOW_START, AggregationPlan
from beam_pipelines.columnar.expressions.compile import find_column
from beam_pipelines.columnar.expressions.node import Column, OperandError
from beam_pipelines.columnar.expressions.types import TIMESTAMP, computed_type, kind_of, name_of
from beam_pipelines.contract.model import RESERVED_PREFIX
from beam_pipelines.errors import ExpressionError, UsageError
from beam_pipelines.window.spec import NO_WINDOW, Window, parse_window


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
    window = parse_window(window)
    names = resolve_group_by([group_by] if isinstance(group_by, str) else group_by, schema)
    keys = tuple(_key(name, schema) for name in names)
    if window.kind != "none" and event_time is None:
        raise UsageError(f"window {window} needs an event time: say which column it is, or mark it in the contract")
    times = None if event_time is None else _event_time(event_time, schema)
    calls, outputs = parse_aggregates(aggregates, schema, names, times)
    return AggregationPlan(keys, window, times, calls, outputs)


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
