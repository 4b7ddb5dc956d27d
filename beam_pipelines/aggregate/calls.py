"""What a call of an aggregate function was given, and the checks that functions share."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate.plan import Kind, State
from beam_pipelines.columnar.expressions.node import Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.types import FLOAT, kind_of, name_of


class Asked(NamedTuple):
    """A call as it was written: its arguments compiled, without those of count(*)."""

    function: str
    arguments: tuple[Node, ...]
    sql: str
    event_time: Node | None

    @property
    def first(self) -> Node:
        return self.arguments[0]


def keep(kind: Kind, argument: Node, type: pa.DataType) -> State:
    """A state of what an argument is."""
    return State(kind, argument, type, argument.sql)


def with_order(function: str, argument: Node) -> Node:
    """An argument whose values can be compared. OperandError for lists and the like."""
    kind = kind_of(argument.type)
    if kind in ("null", "other"):
        raise OperandError(f"{function} can't compare values of type {name_of(argument.type)}")
    return apply(_one_zero, (argument,), FLOAT, argument.sql) if kind == "float" else argument


def _one_zero(values: Values) -> Values:
    """-0.0 becomes 0.0 and every NaN the same one, or equal values would depend on which came first."""
    return pc.if_else(pc.is_nan(values), float("nan"), pc.add(values, 0.0))
