"""Handlers of functions and CAST."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
from sqlglot import exp

from beam_pipelines.columnar.expressions import arithmetic, casts, dates, nested, numbers, searching, text
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
    exp.Reverse: text.reverse,
}


@handles(*_TEXT_FUNCTIONS, parts="this")
def _text(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    return _TEXT_FUNCTIONS[type(tree)](compiler.node(tree.this), sql)


@handles(exp.Length, parts="this")
def _length(compiler: Compiler, tree: exp.Length, sql: str) -> Node:
    node = compiler.node(tree.this)
    return nested.count(node, sql) if pa.types.is_list(node.type) else text.length(node, sql)


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
    if tree.name.lower() in ("prefix", "suffix") and len(tree.expressions) == 2:  # as DuckDB also calls them
        function = "STARTS_WITH" if tree.name.lower() == "prefix" else "ENDS_WITH"
        node, wanted = compiler.nodes(tree.expressions)
        return searching.found(function, node, wanted, sql)
    raise OperandError(unsupported(tree))


@handles(exp.Sqrt, exp.Ln, exp.Exp, parts="this")
def _of_float(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    return numbers.of_float(type(tree).__name__.upper(), compiler.node(tree.this), sql)


@handles(exp.Pow, parts="this expression")
def _power(compiler: Compiler, tree: exp.Pow, sql: str) -> Node:
    return numbers.power(compiler.node(tree.this), compiler.node(tree.expression), sql)


@handles(exp.Sign, parts="this")
def _sign(compiler: Compiler, tree: exp.Sign, sql: str) -> Node:
    return numbers.sign(compiler.node(tree.this), sql)


@handles(exp.IsNan, parts="this")
def _is_nan(compiler: Compiler, tree: exp.IsNan, sql: str) -> Node:
    return numbers.is_nan(compiler.node(tree.this), sql)


_FOUND: Mapping[type[exp.Expression], str] = {
    exp.Contains: "CONTAINS",
    exp.StartsWith: "STARTS_WITH",
    exp.EndsWith: "ENDS_WITH",
}


@handles(*_FOUND, parts="this expression")
def _found(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    return searching.found(_FOUND[type(tree)], compiler.node(tree.this), compiler.node(tree.expression), sql)


@handles(exp.StrPosition, parts="this substr")
def _position(compiler: Compiler, tree: exp.StrPosition, sql: str) -> Node:
    return searching.position(compiler.node(tree.this), compiler.node(tree.args["substr"]), sql)


@handles(exp.Replace, parts="this expression replacement")
def _replace(compiler: Compiler, tree: exp.Replace, sql: str) -> Node:
    node, old, new = compiler.nodes([tree.this, tree.expression, tree.args["replacement"]])
    return searching.replace(node, old, new, sql)


@handles(exp.SplitPart, parts="this delimiter part_index")
def _split_part(compiler: Compiler, tree: exp.SplitPart, sql: str) -> Node:
    node, delimiter, place = compiler.nodes([tree.this, tree.args["delimiter"], tree.args["part_index"]])
    return searching.split_part(node, delimiter, text.constant_integer(place, "the place of SPLIT_PART"), sql)


@handles(exp.RegexpLike, parts="this expression")
def _matches(compiler: Compiler, tree: exp.RegexpLike, sql: str) -> Node:
    return searching.matches(compiler.node(tree.this), compiler.node(tree.expression), sql)


@handles(exp.RegexpReplace, parts="this expression replacement modifiers single_replace")
def _replace_matches(compiler: Compiler, tree: exp.RegexpReplace, sql: str) -> Node:
    modifiers = tree.args.get("modifiers")
    flags = "" if modifiers is None else text.constant_text(compiler.node(modifiers), "the flag of REGEXP_REPLACE")
    if flags not in ("", "g"):
        raise OperandError(f"REGEXP_REPLACE takes the flag 'g', not '{flags}'; write (?{flags}) into the pattern")
    node, pattern, replacement = compiler.nodes([tree.this, tree.expression, tree.args["replacement"]])
    return searching.replace_matches(node, pattern, replacement, flags == "g", sql)


@handles(exp.RegexpExtract, parts="this expression group null_if_pos_overflow")
def _extract_match(compiler: Compiler, tree: exp.RegexpExtract, sql: str) -> Node:
    group = tree.args.get("group")
    number = 0 if group is None else text.constant_integer(compiler.node(group), "the group of REGEXP_EXTRACT")
    return searching.extract_match(compiler.node(tree.this), compiler.node(tree.expression), number, sql)


@handles(exp.Left, exp.Right, parts="this expression")
def _end(compiler: Compiler, tree: exp.Expression, sql: str) -> Node:
    count = text.constant_integer(compiler.node(tree.expression), "the number of characters")
    return (text.left if isinstance(tree, exp.Left) else text.right)(compiler.node(tree.this), count, sql)


@handles(exp.Pad, parts="this expression fill_pattern is_left")
def _pad(compiler: Compiler, tree: exp.Pad, sql: str) -> Node:
    width = text.constant_integer(compiler.node(tree.expression), "the width")
    fill = text.constant_text(compiler.node(tree.args["fill_pattern"]), "what fills")
    return text.pad(compiler.node(tree.this), width, fill, sql, bool(tree.args.get("is_left")))


@handles(exp.DateDiff, parts="this expression unit date_part_boundary")
def _date_diff(compiler: Compiler, tree: exp.DateDiff, sql: str) -> Node:
    start, end = compiler.nodes([tree.expression, tree.this])
    return dates.difference(tree.args["unit"].name if tree.args.get("unit") else "day", start, end, sql)


_SINCE_EPOCH = {None: ("TO_TIMESTAMP", 1_000_000), "3": ("EPOCH_MS", 1_000), "6": ("MAKE_TIMESTAMP", 1)}
"""Scale that the parser gives a function → its name, and the microseconds of its unit."""


@handles(exp.UnixToTime, parts="this scale")
def _unix_to_time(compiler: Compiler, tree: exp.UnixToTime, sql: str) -> Node:
    scale = tree.args.get("scale")
    name, micros = _SINCE_EPOCH[scale.name if scale else None]
    return dates.since_epoch(compiler.node(tree.this), micros, name, sql)


@handles(exp.ArraySize, parts="this")
def _array_size(compiler: Compiler, tree: exp.ArraySize, sql: str) -> Node:
    return nested.count(compiler.node(tree.this), sql)


@handles(exp.ArrayContains, parts="this expression")
def _array_contains(compiler: Compiler, tree: exp.ArrayContains, sql: str) -> Node:
    return nested.contains(compiler.node(tree.this), compiler.node(tree.expression), sql)
