"""Handlers of SQL's own syntax: columns, constants, operators, conditions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

import pyarrow as pa
from sqlglot import exp

from beam_pipelines.columnar.expressions import arithmetic, dates, logic, nested, text
from beam_pipelines.columnar.expressions.compiler import Compiler, find_column, handles
from beam_pipelines.columnar.expressions.node import Column, Literal, Node, OperandError
from beam_pipelines.columnar.expressions.types import BOOLEAN, FLOAT, MAX_DIGITS, STRING, computed_type
from beam_pipelines.errors import ExpressionError


@handles(exp.Column, parts="this table db catalog")
def _column(compiler: Compiler, tree: exp.Column, sql: str) -> Node:
    if not isinstance(tree.this, exp.Identifier):
        raise OperandError(f"'{sql}' is not a column")
    first, *inside = [part.name for part in tree.parts]
    known = {str(name).lower() for name in compiler.schema.names}
    if inside and first.lower() not in known:
        raise OperandError(
            f"'{sql}': there is no column '{first}' whose field this could be, and columns are named without a table"
        )
    try:
        name = find_column(first, compiler.schema)
        stored = compiler.schema.field(name).type
        try:
            node: Node = Column(name, stored, computed_type(stored), first if inside else sql)
        except OperandError as error:
            raise OperandError(f"column '{name}' {error}") from None
        for part in inside:
            node = nested.field(node, part, f"{node.sql}.{part}")
    except ExpressionError as error:
        raise OperandError(str(error)) from None
    return node


@handles(exp.Dot)
def _dot(compiler: Compiler, tree: exp.Dot, sql: str) -> Node:
    return _inside(compiler.node(tree.this), tree.expression.name, sql)


@handles(exp.StructExtract)
def _struct_extract(compiler: Compiler, tree: exp.StructExtract, sql: str) -> Node:
    name = text.constant_text(compiler.node(tree.expression), "the field of STRUCT_EXTRACT")
    return _inside(compiler.node(tree.this), name, sql)


@handles(exp.Bracket, parts="this expressions")
def _bracket(compiler: Compiler, tree: exp.Bracket, sql: str) -> Node:
    node, place = compiler.node(tree.this), compiler.node(tree.expressions[0])
    if len(tree.expressions) == 1 and pa.types.is_struct(node.type):
        return _inside(node, text.constant_text(place, f"the field of '{node.sql}'"), sql)
    # The parser has taken 1 from the place that was written.
    written = text.constant_integer(place, "the place in a list") + 1
    if written == 0:
        raise OperandError(f"'{sql}': places in a list count from 1, or from -1 backwards")
    return nested.element(node, written - 1 if written > 0 else written, sql)


def _inside(node: Node, name: str, sql: str) -> Node:
    try:
        return nested.field(node, name, sql)
    except ExpressionError as error:
        raise OperandError(str(error)) from None


@handles(exp.Literal, parts="this is_string")
def _literal(_compiler: Compiler, tree: exp.Literal, sql: str) -> Node:
    if tree.is_string:
        return Literal(pa.scalar(tree.this, STRING), sql, from_text=True)
    return Literal(_number(tree.this), sql)


def _number(digits: str) -> pa.Scalar:
    """Integers int64, or decimal when larger; with a point decimal; with an exponent float64."""
    if re.fullmatch(r"-?[\d.]+e[+-]?\d+", digits.lower()):
        if math.isinf(float(digits)):
            raise OperandError(f"{digits} is beyond float64")
        return pa.scalar(float(digits), FLOAT)
    try:
        number = Decimal(digits)
    except InvalidOperation:
        raise OperandError(f"'{digits}' is not a number") from None
    scale = max(0, -int(number.as_tuple().exponent))
    if scale == 0 and "." not in digits and -(2**63) <= number < 2**63:
        return pa.scalar(int(number), pa.int64())
    precision = max(len(number.as_tuple().digits), scale)
    if precision > MAX_DIGITS:
        raise OperandError(f"{digits} has more than {MAX_DIGITS} digits: write it with an exponent, as a float")
    return pa.scalar(number, pa.decimal128(precision, scale))


@handles(exp.Boolean, parts="this")
def _boolean(_compiler: Compiler, tree: exp.Boolean, sql: str) -> Node:
    return Literal(pa.scalar(bool(tree.this), BOOLEAN), sql)


@handles(exp.Null, parts="")
def _null(_compiler: Compiler, _tree: exp.Null, sql: str) -> Node:
    return Literal(pa.scalar(None), sql)


@handles(exp.Paren, parts="this")
def _paren(compiler: Compiler, tree: exp.Paren, _sql: str) -> Node:
    return compiler.node(tree.this)


@handles(exp.Neg, parts="this")
def _neg(compiler: Compiler, tree: exp.Neg, sql: str) -> Node:
    if isinstance(tree.this, exp.Literal) and not tree.this.is_string:
        return Literal(_number("-" + tree.this.this), sql)  # the smallest int64 has no positive twin
    return arithmetic.negate(compiler.node(tree.this), sql)


_BINARY: Mapping[type[exp.Expression], Callable[[Node, Node, str], Node]] = {
    exp.Add: lambda left, right, sql: arithmetic.calculate("+", left, right, sql),
    exp.Sub: lambda left, right, sql: arithmetic.calculate("-", left, right, sql),
    exp.Mul: lambda left, right, sql: arithmetic.calculate("*", left, right, sql),
    exp.Div: arithmetic.divide,
    exp.IntDiv: arithmetic.divide_whole,
    exp.Mod: arithmetic.remainder,
    exp.EQ: lambda left, right, sql: logic.compare("=", left, right, sql),
    exp.NEQ: lambda left, right, sql: logic.compare("<>", left, right, sql),
    exp.LT: lambda left, right, sql: logic.compare("<", left, right, sql),
    exp.LTE: lambda left, right, sql: logic.compare("<=", left, right, sql),
    exp.GT: lambda left, right, sql: logic.compare(">", left, right, sql),
    exp.GTE: lambda left, right, sql: logic.compare(">=", left, right, sql),
    exp.NullSafeEQ: lambda left, right, sql: logic.same(left, right, sql, False),
    exp.NullSafeNEQ: lambda left, right, sql: logic.same(left, right, sql, True),
    exp.And: logic.both,
    exp.Or: logic.either,
    exp.DPipe: lambda left, right, sql: text.join((left, right), sql, False),
    exp.Nullif: logic.null_if,
}


@handles(*_BINARY, parts="this expression safe typed")
def _binary(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    if isinstance(tree, (exp.Add, exp.Sub)) and isinstance(tree.expression, exp.Interval):
        return _shifted(compiler, tree, sql)
    return _BINARY[type(tree)](compiler.node(tree.this), compiler.node(tree.expression), sql)


def _shifted(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    amount, unit = tree.expression.this, tree.expression.args.get("unit")
    if not isinstance(amount, exp.Literal) or not re.fullmatch(r"-?\d{1,9}", amount.name) or unit is None:
        raise OperandError(f"'{sql}': write a constant INTERVAL, as INTERVAL 3 HOUR")
    count = int(amount.name) * (-1 if isinstance(tree, exp.Sub) else 1)
    return dates.shift(compiler.node(tree.this), count, unit.name.rstrip("Ss") if len(unit.name) > 1 else "", sql)


@handles(exp.Not, parts="this")
def _not(compiler: Compiler, tree: exp.Not, sql: str) -> Node:
    return logic.negated(compiler.node(tree.this), sql)


@handles(exp.Is)
def _is(compiler: Compiler, tree: exp.Is, sql: str) -> Node:
    node = compiler.node(tree.this)
    if isinstance(tree.expression, exp.Null):
        return logic.is_null(node, sql)
    if isinstance(tree.expression, exp.Boolean):
        return logic.is_truth(node, bool(tree.expression.this), sql)
    raise OperandError(f"'{sql}': IS takes NULL, TRUE or FALSE")


@handles(exp.In, parts="this expressions")
def _in(compiler: Compiler, tree: exp.In, sql: str) -> Node:
    if not tree.expressions:
        raise OperandError(f"'{sql}': IN takes a list of values in parentheses")
    return logic.is_in(compiler.node(tree.this), compiler.nodes(tree.expressions), sql)


@handles(exp.Between, parts="this low high")
def _between(compiler: Compiler, tree: exp.Between, sql: str) -> Node:
    node, low, high = compiler.nodes([tree.this, tree.args["low"], tree.args["high"]])
    return logic.both(logic.compare(">=", node, low, sql), logic.compare("<=", node, high, sql), sql)


@handles(exp.Like, exp.ILike, parts="this expression negate")
def _like(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    return _like_with(compiler, tree, sql, None)


@handles(exp.Escape)
def _escape(compiler: Compiler, tree: exp.Escape, sql: str) -> Node:
    if not isinstance(tree.this, (exp.Like, exp.ILike)):
        raise OperandError("ESCAPE follows LIKE or ILIKE")
    character = text.constant_text(compiler.node(tree.expression), "ESCAPE")
    return _like_with(compiler, tree.this, sql, character)


def _like_with(compiler: Compiler, tree: exp.Expression, sql: str, escape: str | None) -> Node:
    node, pattern = compiler.nodes([tree.this, tree.expression])
    found = logic.like(node, pattern, sql, escape, isinstance(tree, exp.ILike))
    return logic.negated(found, sql) if tree.args.get("negate") else found


@handles(exp.Case, parts="this ifs default")
def _case(compiler: Compiler, tree: exp.Case, sql: str) -> Node:
    whens = [branch.this for branch in tree.args["ifs"]]
    if tree.this is None:
        conditions = compiler.nodes(whens)
    else:
        subject = compiler.node(tree.this)
        conditions = [logic.compare("=", subject, compiler.node(when), sql) for when in whens]
    results = compiler.nodes([branch.args["true"] for branch in tree.args["ifs"]])
    return logic.choose(conditions, [*results, _or_null(compiler, tree.args.get("default"))], sql)


@handles(exp.If, parts="this true false")
def _if(compiler: Compiler, tree: exp.If, sql: str) -> Node:
    condition, result = compiler.nodes([tree.this, tree.args["true"]])
    return logic.choose([condition], [result, _or_null(compiler, tree.args.get("false"))], sql)


def _or_null(compiler: Compiler, tree: exp.Expression | None) -> Node:
    return Literal(pa.scalar(None), "NULL") if tree is None else compiler.node(tree)


@handles(exp.Coalesce, parts="this expressions")
def _coalesce(compiler: Compiler, tree: exp.Coalesce, sql: str) -> Node:
    return logic.coalesce(compiler.nodes([tree.this, *tree.expressions]), sql)


@handles(exp.Greatest, exp.Least, parts="this expressions ignore_nulls")
def _extreme(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    sign = ">=" if isinstance(tree, exp.Greatest) else "<="
    return logic.extreme(sign, compiler.nodes([tree.this, *tree.expressions]), sql)
