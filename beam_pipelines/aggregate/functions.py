"""The aggregate functions: what arguments each takes, and the states that its value is computed from."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate import distinct_sketch, exact_sum, funnel
from beam_pipelines.aggregate.buckets import BUCKET, bucket
from beam_pipelines.aggregate.extremes import pair
from beam_pipelines.aggregate.moments import factors, of_both
from beam_pipelines.aggregate.plan import Call, Kind, State
from beam_pipelines.aggregate.tallies import MAX_FREQUENT, frequent_type, tally_type, top_type
from beam_pipelines.columnar.expressions.casts import convert
from beam_pipelines.columnar.expressions.logic import choose
from beam_pipelines.columnar.expressions.node import Literal, Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.types import BOOLEAN, FLOAT, INTEGER, MAX_DIGITS, kind_of, name_of, take
from beam_pipelines.errors import UsageError
from beam_pipelines.window.duration import parse_duration

MAX_TOP = 1_000


class Asked(NamedTuple):
    """A call as it was written: its arguments compiled, without those of count(*)."""

    function: str
    arguments: tuple[Node, ...]
    sql: str
    event_time: Node | None

    @property
    def first(self) -> Node:
        return self.arguments[0]


class Function(NamedTuple):
    """How a function is written, how many arguments it takes, and what makes its call."""

    usage: str
    least: int
    most: int
    make: Callable[[Asked], Call]


def make_call(asked: Asked, *, distinct: bool = False, condition: Node | None = None) -> Call:
    """Choose the states of a call. OperandError when its arguments don't fit.

    `condition` is that of FILTER (WHERE …): other rows count as nulls, which aggregates leave out.
    """
    known = FUNCTIONS[asked.function]
    if distinct and asked.function != "count":
        raise OperandError(f"'{asked.sql}': DISTINCT is supported in count only")
    if not known.least <= len(asked.arguments) <= known.most:
        raise OperandError(f"'{asked.sql}': it is written {known.usage}")
    if condition is not None:
        asked = asked._replace(arguments=_only_where(condition, asked))
    return _distinct(asked) if distinct else known.make(asked)


def _only_where(condition: Node, asked: Asked) -> tuple[Node, ...]:
    values = asked.arguments or (Literal(pa.scalar(True, BOOLEAN), "TRUE"),)
    # A funnel has its time limit first, and a condition in all its steps.
    first, wanted = (values[:1], values[1:]) if asked.function == "funnel" else ((), values[:1])
    return (*first, *(_where(condition, value) for value in wanted), *values[len(first) + len(wanted) :])


def _where(condition: Node, value: Node) -> Node:
    nothing = Literal(pa.scalar(None), "NULL")
    return choose([condition], [value, nothing], f"{value.sql} FILTER (WHERE {condition.sql})")


def _keep(kind: Kind, argument: Node, type: pa.DataType) -> State:
    return State(kind, argument, type, argument.sql)


def _count(asked: Asked) -> Call:
    if not asked.arguments:
        return Call("rows", (), INTEGER, asked.sql)
    return Call("kept", (_keep("count", asked.first, INTEGER),), INTEGER, asked.sql)


def _distinct(asked: Asked) -> Call:
    if not asked.arguments:
        raise OperandError(f"'{asked.sql}': DISTINCT takes one column")
    argument = _with_order("count(distinct)", asked.first)
    return Call("distinct", (_keep("distinct", argument, pa.list_(argument.type)),), INTEGER, asked.sql)


def _count_if(asked: Asked) -> Call:
    take(asked.first, ("boolean",), asked.function)
    yes, nothing = Literal(pa.scalar(True, BOOLEAN), "TRUE"), Literal(pa.scalar(None), "NULL")
    argument = choose([_truth(asked.first)], [yes, nothing], f"{asked.first.sql} IS TRUE")
    return Call("kept", (_keep("count", argument, INTEGER),), INTEGER, asked.sql)


def _truth(condition: Node) -> Node:
    return condition if kind_of(condition.type) == "boolean" else Literal(pa.scalar(None, BOOLEAN), condition.sql)


def _extreme(kind: Kind) -> Callable[[Asked], Call]:
    def make(asked: Asked) -> Call:
        argument = _with_order(asked.function, asked.first)
        if asked.function in ("bool_and", "bool_or"):
            take(argument, ("boolean",), asked.function)
        return Call("kept", (_keep(kind, argument, argument.type),), argument.type, asked.sql)

    return make


def _extreme_by(kind: Kind) -> Callable[[Asked], Call]:
    def make(asked: Asked) -> Call:
        if len(asked.arguments) > 1:
            by = asked.arguments[1]
        elif asked.event_time is None:
            raise OperandError(f"'{asked.sql}': {asked.function} needs an event time: say which column it is")
        else:
            by = asked.event_time
        value, by = _with_order(asked.function, asked.first), _with_order(asked.function, by)
        both = pair(by, value)
        return Call("value", (_keep(kind, both, both.type),), value.type, asked.sql)

    return make


def _sum(asked: Asked) -> Call:
    total = _total(asked.function, asked.first)
    is_integer = kind_of(asked.first.type) == "integer"
    type = FLOAT if total.kind == "float_sum" else INTEGER if is_integer else total.type
    return Call("sum", (total,), type, asked.sql)


def _avg(asked: Asked) -> Call:
    total = _total(asked.function, asked.first)
    return Call("avg", (total, _keep("count", asked.first, INTEGER)), FLOAT, asked.sql)


def _total(function: str, argument: Node) -> State:
    take(argument, ("integer", "decimal", "float"), function)
    kind = kind_of(argument.type)
    if kind == "null":
        raise OperandError(f"{function}(NULL) has no type: CAST it")
    if kind == "float":
        return _keep("float_sum", argument, exact_sum.STATE)
    # 128 bits hold any sum of 2**63 integers, so only the final value is checked to fit int64.
    exact = argument if kind == "decimal" else convert(argument, pa.decimal128(19, 0))
    return State("sum", exact, pa.decimal128(MAX_DIGITS, exact.type.scale), argument.sql)


def _variance(asked: Asked) -> Call:
    x = _number(asked.function, asked.first)
    squares = _keep("float_products", factors(x, x), exact_sum.STATE)
    states = (_keep("count", x, INTEGER), _keep("float_sum", x, exact_sum.STATE), squares)
    return Call("variance", states, FLOAT, asked.sql, (asked.function,))


def _covariance(asked: Asked) -> Call:
    y, x = (_number(asked.function, argument) for argument in asked.arguments)  # SQL has the dependent one first
    x, y = of_both(x, y), of_both(y, x)
    sums = [_keep("count", x, INTEGER), _keep("float_sum", x, exact_sum.STATE), _keep("float_sum", y, exact_sum.STATE)]
    pairs = [(x, y), (x, x), (y, y)] if asked.function == "corr" else [(x, y)]
    products = [_keep("float_products", factors(*both), exact_sum.STATE) for both in pairs]
    return Call("covariance", (*sums, *products), FLOAT, asked.sql, (asked.function,))


def _quantile(asked: Asked) -> Call:
    quantile = Fraction(1, 2) if asked.function == "median" else _fraction(asked)
    if asked.function == "quantile_disc":
        argument = _with_order(asked.function, asked.first)
        tally = _keep("tally", argument, tally_type(argument.type))
        return Call("quantile_disc", (tally,), argument.type, asked.sql, (quantile,))
    take(asked.first, ("integer", "decimal", "float"), asked.function)
    argument = _with_order(asked.function, asked.first)
    tally = _keep("tally", argument, tally_type(argument.type))
    return Call("quantile_cont", (tally,), FLOAT, asked.sql, (quantile,))


def _approx_quantile(asked: Asked) -> Call:
    x = _with_order(asked.function, _number(asked.function, asked.first))
    kept = (
        _keep("tally", bucket(x), tally_type(BUCKET)),
        _keep("min", x, FLOAT),
        _keep("max", x, FLOAT),
    )
    return Call("approx_quantile", kept, FLOAT, asked.sql, (_fraction(asked),))


def _top_k(asked: Asked) -> Call:
    most = asked.arguments[1]
    limit = MAX_TOP if asked.function == "top_k" else MAX_FREQUENT
    number = most.value.as_py() if isinstance(most, Literal) else None
    if type(number) is not int or not 1 <= number <= limit:
        raise OperandError(f"'{asked.sql}': how many is a whole number from 1 to {limit}")
    argument = _with_order(asked.function, asked.first)
    if asked.function == "top_k":
        kept, found = _keep("tally", argument, tally_type(argument.type)), tally_type(argument.type)
    else:
        kept, found = _keep("frequent", argument, frequent_type(argument.type)), top_type(argument.type)
    return Call(asked.function, (kept,), found, asked.sql, (number,))


def _mode(asked: Asked) -> Call:
    argument = _with_order(asked.function, asked.first)
    return Call("mode", (_keep("tally", argument, tally_type(argument.type)),), argument.type, asked.sql)


def _approx_distinct(asked: Asked) -> Call:
    argument = _with_order(asked.function, asked.first)
    return Call("approx_count_distinct", (_keep("hll", argument, distinct_sketch.STATE),), INTEGER, asked.sql)


def _funnel(asked: Asked) -> Call:
    limit, *steps = asked.arguments
    if asked.event_time is None:
        raise OperandError(f"'{asked.sql}': a funnel needs an event time: say which column it is")
    try:
        within = parse_duration(str(limit.value.as_py()) if isinstance(limit, Literal) else limit.sql)
    except UsageError as error:
        raise OperandError(f"'{asked.sql}': the time limit: {error}") from None
    for step in steps:
        take(step, ("boolean",), asked.function)
    made = funnel.events(asked.event_time, [_truth(step) for step in steps])
    return Call("funnel", (_keep("steps", made, funnel.STATE),), INTEGER, asked.sql, (len(steps), within))


def _fraction(asked: Asked) -> Fraction:
    given = asked.arguments[1]
    value = given.value.as_py() if isinstance(given, Literal) else None
    if isinstance(value, (int, float, Decimal)) and 0 <= value <= 1:
        exact = Fraction(str(value))
        if exact.denominator <= 10**9:  # so that ranks stay within 64 bits
            return exact
    raise OperandError(f"'{asked.sql}': the quantile is a number from 0 to 1, of at most 9 digits, not '{given.sql}'")


def _number(function: str, argument: Node) -> Node:
    """A number as float64."""
    take(argument, ("integer", "decimal", "float"), function)
    if kind_of(argument.type) == "null":
        raise OperandError(f"{function}(NULL) has no type: CAST it")
    return argument if kind_of(argument.type) == "float" else convert(argument, FLOAT)


def _with_order(function: str, argument: Node) -> Node:
    kind = kind_of(argument.type)
    if kind in ("null", "other"):
        raise OperandError(f"{function} can't compare values of type {name_of(argument.type)}")
    return apply(_one_zero, (argument,), FLOAT, argument.sql) if kind == "float" else argument


def _one_zero(values: Values) -> Values:
    """-0.0 becomes 0.0 and every NaN the same one, or equal values would depend on which came first."""
    return pc.if_else(pc.is_nan(values), float("nan"), pc.add(values, 0.0))


FUNCTIONS: dict[str, Function] = {
    "count": Function("count(*), count(x) or count(distinct x)", 0, 1, _count),
    "count_if": Function("count_if(condition)", 1, 1, _count_if),
    "sum": Function("sum(x)", 1, 1, _sum),
    "avg": Function("avg(x)", 1, 1, _avg),
    "min": Function("min(x)", 1, 1, _extreme("min")),
    "max": Function("max(x)", 1, 1, _extreme("max")),
    "any_value": Function("any_value(x)", 1, 1, _extreme("min")),
    "bool_and": Function("bool_and(x)", 1, 1, _extreme("min")),
    "bool_or": Function("bool_or(x)", 1, 1, _extreme("max")),
    "min_by": Function("min_by(x, by)", 2, 2, _extreme_by("min_by")),
    "max_by": Function("max_by(x, by)", 2, 2, _extreme_by("max_by")),
    "first": Function("first(x)", 1, 1, _extreme_by("min_by")),
    "last": Function("last(x)", 1, 1, _extreme_by("max_by")),
    "stddev": Function("stddev(x)", 1, 1, _variance),
    "stddev_pop": Function("stddev_pop(x)", 1, 1, _variance),
    "variance": Function("variance(x)", 1, 1, _variance),
    "var_pop": Function("var_pop(x)", 1, 1, _variance),
    "covar_samp": Function("covar_samp(y, x)", 2, 2, _covariance),
    "covar_pop": Function("covar_pop(y, x)", 2, 2, _covariance),
    "corr": Function("corr(y, x)", 2, 2, _covariance),
    "median": Function("median(x)", 1, 1, _quantile),
    "quantile_cont": Function("quantile_cont(x, 0.9)", 2, 2, _quantile),
    "quantile_disc": Function("quantile_disc(x, 0.9)", 2, 2, _quantile),
    "approx_quantile": Function("approx_quantile(x, 0.9)", 2, 2, _approx_quantile),
    "mode": Function("mode(x)", 1, 1, _mode),
    "top_k": Function("top_k(x, 10)", 2, 2, _top_k),
    "approx_top_k": Function("approx_top_k(x, 10)", 2, 2, _top_k),
    "approx_count_distinct": Function("approx_count_distinct(x)", 1, 1, _approx_distinct),
    "funnel": Function("funnel('30m', first step, second step, …)", 3, funnel.MAX_STEPS + 1, _funnel),
}
