"""Quality rules in SQL: an expression that is judged in each row, or a query that counts rows."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from beam_pipelines.columnar.expressions import Expression, compile_expression
from beam_pipelines.columnar.expressions.parse import DIALECT, MAX_CHARACTERS, parse_list, shorten
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.rules import QualityRule
from beam_pipelines.errors import ExpressionError

_OPERATORS = {
    "mustBe": "=",
    "mustNotBe": "<>",
    "mustBeGreaterThan": ">",
    "mustBeGreaterOrEqualTo": ">=",
    "mustBeLessThan": "<",
    "mustBeLessOrEqualTo": "<=",
}
_OBJECT = re.compile(r"\$?\{(?:object|table|schema|model)\}", re.IGNORECASE)
_PROPERTY = re.compile(r"\$?\{(?:property|column|field)\}", re.IGNORECASE)
_FORMS = (
    "a rule in SQL is an expression over a row's columns, as in 'price * quantity >= 0', "
    "or a count, as in 'SELECT count(*) FROM {object} WHERE price < 0'"
)


class CountQuery(NamedTuple):
    """What `SELECT count(…) FROM … WHERE …` counts: rows in which the condition holds; None for all rows."""

    condition: Expression | None


def row_condition(rule: QualityRule, schema: pa.Schema, name: str) -> Expression:
    """Compile a rule of rows to what has to hold in each of them; a row of which it is NULL passes, as in a CHECK.

    ExpressionError when it is no SQL, or not of a type that can be compared as the rule says.

    >>> rule = QualityRule("sql", "mustBeGreaterThan", 0, query="price * quantity")
    >>> schema = pa.schema([("price", pa.float64()), ("quantity", pa.int64())])
    >>> row_condition(rule, schema, "orders").sql
    '(price * quantity) > 0'
    """
    text = _filled(rule, name)
    compiled = compile_expression(text, schema)
    boolean, expected = pa.types.is_boolean(compiled.type), rule.expected
    if boolean != isinstance(expected, bool):
        raise ExpressionError(
            f"'{shorten(text)}' is {'true or false' if boolean else 'no condition'}, and is compared with "
            f"{expected if not isinstance(expected, bool) else str(expected).lower()}: "
            + ("say mustBe: true" if boolean else "compare it with a value of its type")
        )
    if boolean and rule.operator == "mustBe":
        return compile_expression(text if expected else f"NOT ({text})", schema)
    if isinstance(expected, tuple):
        negated = "NOT " if rule.operator == "mustNotBeBetween" else ""
        return compile_expression(
            f"({text}) {negated}BETWEEN {_literal(expected[0])} AND {_literal(expected[1])}", schema
        )
    return compile_expression(f"({text}) {_OPERATORS[rule.operator]} {_literal(expected)}", schema)


def count_query(rule: QualityRule, schema: pa.Schema, name: str) -> CountQuery:
    """Compile a query that counts rows.

    >>> rule = QualityRule("sql", "mustBe", 0, query="SELECT count(*) FROM {object} WHERE price < 0")
    >>> count_query(rule, pa.schema([("price", pa.float64())]), "orders").condition.sql
    'price < 0'
    """
    text = _filled(rule, name)
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"the query has {len(text)} characters, more than {MAX_CHARACTERS}")
    try:
        tree = sqlglot.parse_one(text, read=DIALECT)
    except (SqlglotError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else _reason(error)
        raise ExpressionError(f"'{shorten(text)}' can't be read as SQL: {reason}") from None
    counted = _counted(tree, text, name)
    where = tree.args.get("where")
    conditions = [] if where is None else [where.this]
    conditions += [] if isinstance(counted, exp.Star) else [exp.Is(this=counted, expression=exp.Null()).not_()]
    if not conditions:
        return CountQuery(None)
    condition = compile_expression(exp.and_(*conditions).sql(dialect=DIALECT, comments=False), schema)
    if not pa.types.is_boolean(condition.type):
        raise ExpressionError(f"'{condition.sql}' is no condition, it is {condition.type}")
    return CountQuery(condition)


def query_conflict(rule: QualityRule, fields: Sequence[Field], name: str) -> str | None:
    """Say what is wrong with a rule's query; None when it can be run."""
    if not (rule.query or "").strip():
        return f"the query is empty: {_FORMS}"
    schema = pa.schema([(field.name, field.type) for field in fields])
    try:
        if rule.of_rows:
            row_condition(rule, schema, name)
        else:
            count_query(rule, schema, name)
    except ExpressionError as error:
        return str(error)
    return None


def measure_conflict(sql: str, fields: Sequence[Field]) -> str | None:
    """Say what keeps a measure's SQL from being read; what aggregates there are, the aggregation knows."""
    try:
        trees = parse_list(sql)
    except ExpressionError as error:
        return str(error)
    if len(trees) > 1:
        return f"'{shorten(sql)}' is {len(trees)} expressions; a measure is one"
    known = {field.name.lower() for field in fields}
    for column in trees[0].find_all(exp.Column):
        if column.parts[0].name.lower() not in known:
            return f"'{shorten(sql)}': there is no field '{column.parts[0].name}'"
    if trees[0].find(exp.AggFunc) is None and trees[0].find(exp.Anonymous) is None:
        return f"'{shorten(sql)}' is no aggregate, as in sum(price * quantity)"
    return None


@functools.lru_cache(maxsize=256)
def _filled(rule: QualityRule, name: str) -> str:
    """The query with the names that its placeholders stand for, in either of the standard's spellings."""
    text = _OBJECT.sub(lambda _: _quoted(name), (rule.query or "").strip().rstrip(";"))
    if not _PROPERTY.search(text):
        return text
    if len(rule.fields) != 1:
        raise ExpressionError(f"'{shorten(text)}': a placeholder for a property, but the rule is not at one")
    return _PROPERTY.sub(lambda _: _quoted(rule.fields[0]), text)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return format(value, "f") if isinstance(value, Decimal) else repr(value)


def _counted(tree: exp.Expression | None, text: str, name: str) -> exp.Expression:
    """What is counted: a star or an expression. ExpressionError for a query of any other form."""
    if not isinstance(tree, exp.Select):
        raise ExpressionError(f"'{shorten(text)}' is not one SELECT: {_FORMS}")
    extra = [key for key, part in tree.args.items() if part and key not in ("expressions", "from", "from_", "where")]
    if extra or len(tree.expressions) != 1:
        said = f"{extra[0].rstrip('_').upper()} is not supported" if extra else "it selects more than one value"
        raise ExpressionError(f"'{shorten(text)}': {said}; {_FORMS}")
    source = tree.args.get("from") or tree.args.get("from_")
    table = source.this if source is not None else None
    if table is not None and (not isinstance(table, exp.Table) or table.name.lower() != name.lower()):
        read = table.name if isinstance(table, exp.Table) else "a query"
        raise ExpressionError(f"'{shorten(text)}' reads {read}, and only the rows of '{name}' are there")
    function = tree.expressions[0].unalias()
    if not isinstance(function, exp.Count) or function.expressions or isinstance(function.this, exp.Distinct):
        raise ExpressionError(f"'{shorten(text)}' does not count rows; {_FORMS}")
    counted: exp.Expression = function.this
    return counted


def _reason(error: SqlglotError) -> str:
    return re.sub(r"\x1b\[\d+m", "", str(error)).splitlines()[0].split(" for <class")[0]
