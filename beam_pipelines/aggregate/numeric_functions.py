"""Aggregate functions of numbers: sums and means, variances, quantiles."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pyarrow as pa

from beam_pipelines.aggregate import exact_sum
from beam_pipelines.aggregate.buckets import BUCKET, bucket
from beam_pipelines.aggregate.calls import Asked, keep, with_order
from beam_pipelines.aggregate.moments import factors, of_both
from beam_pipelines.aggregate.plan import Call, State
from beam_pipelines.aggregate.tallies import tally_type
from beam_pipelines.columnar.expressions.casts import convert
from beam_pipelines.columnar.expressions.node import Literal, Node, OperandError
from beam_pipelines.columnar.expressions.types import FLOAT, INTEGER, MAX_DIGITS, kind_of, take


def sum_call(asked: Asked) -> Call:
    """The sum, in the type that holds it."""
    total = _total(asked.function, asked.first)
    is_integer = kind_of(asked.first.type) == "integer"
    type = FLOAT if total.kind == "float_sum" else INTEGER if is_integer else total.type
    return Call("sum", (total,), type, asked.sql)


def avg_call(asked: Asked) -> Call:
    """The mean, as float64."""
    total = _total(asked.function, asked.first)
    return Call("avg", (total, keep("count", asked.first, INTEGER)), FLOAT, asked.sql)


def _total(function: str, argument: Node) -> State:
    take(argument, ("integer", "decimal", "float"), function)
    kind = kind_of(argument.type)
    if kind == "null":
        raise OperandError(f"{function}(NULL) has no type: CAST it")
    if kind == "float":
        return keep("float_sum", argument, exact_sum.STATE)
    # 128 bits hold any sum of 2**63 integers, so only the final value is checked to fit int64.
    exact = argument if kind == "decimal" else convert(argument, pa.decimal128(19, 0))
    return State("sum", exact, pa.decimal128(MAX_DIGITS, exact.type.scale), argument.sql)


def variance_call(asked: Asked) -> Call:
    """variance, var_pop, stddev, stddev_pop: by the name that was asked."""
    x = _number(asked.function, asked.first)
    squares = keep("float_products", factors(x, x), exact_sum.STATE)
    states = (keep("count", x, INTEGER), keep("float_sum", x, exact_sum.STATE), squares)
    return Call("variance", states, FLOAT, asked.sql, (asked.function,))


def covariance_call(asked: Asked) -> Call:
    """covar_samp, covar_pop, corr: by the name that was asked."""
    y, x = (_number(asked.function, argument) for argument in asked.arguments)  # SQL has the dependent one first
    x, y = of_both(x, y), of_both(y, x)
    sums = [keep("count", x, INTEGER), keep("float_sum", x, exact_sum.STATE), keep("float_sum", y, exact_sum.STATE)]
    pairs = [(x, y), (x, x), (y, y)] if asked.function == "corr" else [(x, y)]
    products = [keep("float_products", factors(*both), exact_sum.STATE) for both in pairs]
    return Call("covariance", (*sums, *products), FLOAT, asked.sql, (asked.function,))


def quantile_call(asked: Asked) -> Call:
    """median, quantile_cont, quantile_disc: exact."""
    quantile = Fraction(1, 2) if asked.function == "median" else _fraction(asked)
    if asked.function == "quantile_disc":
        argument = with_order(asked.function, asked.first)
        tally = keep("tally", argument, tally_type(argument.type))
        return Call("quantile_disc", (tally,), argument.type, asked.sql, (quantile,))
    take(asked.first, ("integer", "decimal", "float"), asked.function)
    argument = with_order(asked.function, asked.first)
    tally = keep("tally", argument, tally_type(argument.type))
    return Call("quantile_cont", (tally,), FLOAT, asked.sql, (quantile,))


def approx_quantile_call(asked: Asked) -> Call:
    """A quantile by buckets, between the least and the greatest value."""
    x = with_order(asked.function, _number(asked.function, asked.first))
    kept = (
        keep("tally", bucket(x), tally_type(BUCKET)),
        keep("min", x, FLOAT),
        keep("max", x, FLOAT),
    )
    return Call("approx_quantile", kept, FLOAT, asked.sql, (_fraction(asked),))


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
