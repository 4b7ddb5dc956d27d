"""Handlers of functions and CAST."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
from sqlglot import exp

from beam_pipelines.columnar.expressions import arithmetic, casts, dates, text
from beam_pipelines.columnar.expressions.compiler import Compiler, handles, sql_of, unsupported
from beam_pipelines.columnar.expressions.node import Node, OperandError
from beam_pipelines.columnar.expressions.types import BOOLEAN, DATE, FLOAT, MAX_DIGITS, STRING, TIMESTAMP

_CAST_TYPES: dict[exp.DataType.Type, pa.DataType] = {
    exp.DataType.Type.BOOLEAN: BOOLEAN,
    exp.DataType.Type.TINYINT: pa.int8(),
    exp.DataType.Type.SMALLINT: pa.int16(),
    exp.DataType.Type.INT: pa.int32(),
    exp.DataType.Type.BIGINT: pa.int64(),
    exp.DataType.Type.FLOAT: FLOAT,
    exp.DataType.Type.DOUBLE: FLOAT,
    exp.DataType.Type.TEXT: STRING,
    exp.DataType.Type.VARCHAR: STRING,
    exp.DataType.Type.DATE: DATE,
    exp.DataType.Type.TIMESTAMP: TIMESTAMP,
    exp.DataType.Type.TIMESTAMPNTZ: TIMESTAMP,
    exp.DataType.Type.TIMESTAMPTZ: TIMESTAMP,
    exp.DataType.Type.DATETIME: TIMESTAMP,
}


@handles(exp.Cast, exp.TryCast, parts="this to safe")
def _cast(compiler: Compiler, tree: exp.Cast, sql: str) -> Node:
    type = _CAST_TYPES.get(tree.to.this)
    digits = [int(part.name) for part in tree.to.expressions if part.name.isdigit()]
    if tree.to.this == exp.DataType.Type.DECIMAL and digits:
        precision, scale = (*digits, 0)[:2]
        if not 1 <= precision <= MAX_DIGITS or not 0 <= scale <= precision:
            raise OperandError(f"DECIMAL({precision}, {scale}): a decimal has 1 to {MAX_DIGITS} digits, scale of them")
        type = pa.decimal128(precision, scale)
    if type is None or (digits and not pa.types.is_decimal(type)):
        known = "BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, DOUBLE, DECIMAL(p, s), VARCHAR, DATE, TIMESTAMP"
        raise OperandError(f"no CAST to {sql_of(tree.to)}; there is one to {known}")
    return casts.cast(compiler.node(tree.this), type, sql, isinstance(tree, exp.TryCast))


@handles(exp.Abs, parts="this")
def _abs(compiler: Compiler, tree: exp.Abs, sql: str) -> Node:
    return arithmetic.absolute(compiler.node(tree.this), sql)


@handles(exp.Round, exp.Ceil, exp.Floor, parts="this decimals")
def _round(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    mode = {exp.Round: "half_towards_infinity", exp.Ceil: "up", exp.Floor: "down"}[type(tree)]
    places = tree.args.get("decimals")
    digits = 0 if places is None else text.constant_integer(compiler.node(places), "the number of digits")
    return arithmetic.round_to(compiler.node(tree.this), digits, sql, mode)


_TEXT_FUNCTIONS: Mapping[type[exp.Expression], Callable[[Node, str], Node]] = {
    exp.Lower: text.lower,
    exp.Upper: text.upper,
    exp.Length: text.length,
}


@handles(*_TEXT_FUNCTIONS, parts="this")
def _text(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    return _TEXT_FUNCTIONS[type(tree)](compiler.node(tree.this), sql)


@handles(exp.Trim, parts="this expression position")
def _trim(compiler: Compiler, tree: exp.Trim, sql: str) -> Node:
    characters = " "
    if tree.args.get("expression"):
        characters = text.constant_text(compiler.node(tree.expression), "what TRIM takes away")
    return text.trim(compiler.node(tree.this), characters, str(tree.args.get("position") or "BOTH").upper(), sql)


@handles(exp.Substring, parts="this start length")
def _substring(compiler: Compiler, tree: exp.Substring, sql: str) -> Node:
    places = [
        text.constant_integer(compiler.node(tree.args[name]), f"the {name} of SUBSTRING")
        for name in ("start", "length")
        if tree.args.get(name)
    ]
    return text.substring(compiler.node(tree.this), places[0], places[1] if len(places) > 1 else None, sql)


@handles(exp.Concat, parts="expressions safe coalesce")
def _concat(compiler: Compiler, tree: exp.Concat, sql: str) -> Node:
    return text.join(compiler.nodes(tree.expressions), sql, True)


@handles(exp.Extract)
def _extract(compiler: Compiler, tree: exp.Extract, sql: str) -> Node:
    return dates.extract(tree.this.name, compiler.node(tree.expression), sql)


_DATE_FUNCTIONS: Mapping[type[exp.Expression], str] = {
    exp.Year: "year",
    exp.Quarter: "quarter",
    exp.Month: "month",
    exp.Week: "week",
    exp.WeekOfYear: "week",
    exp.Day: "day",
    exp.DayOfMonth: "day",
    exp.DayOfWeek: "dow",
    exp.DayOfWeekIso: "isodow",
    exp.DayOfYear: "doy",
    exp.Hour: "hour",
    exp.Minute: "minute",
    exp.Second: "second",
}


@handles(*_DATE_FUNCTIONS, parts="this")
def _date_part(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    return dates.extract(_DATE_FUNCTIONS[type(tree)], compiler.node(tree.this), sql)


@handles(exp.TimestampTrunc, exp.DateTrunc, parts="this unit")
def _date_trunc(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    return dates.truncate(tree.args["unit"].name, compiler.node(tree.this), sql)


@handles(exp.Anonymous, parts="this expressions")
def _anonymous(compiler: Compiler, tree: exp.Anonymous, sql: str) -> Node:
    if tree.name.lower() in ("date_part", "datepart") and len(tree.expressions) == 2:
        part, value = compiler.nodes(tree.expressions)
        return dates.extract(text.constant_text(part, "the part"), value, sql)
    raise OperandError(unsupported(tree))
