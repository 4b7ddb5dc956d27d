"""Quality rules: what each row, or the data set as a whole, has to be like beyond the types of its fields.

The metrics are those of the standard's library
(https://bitol-io.github.io/open-data-contract-standard/latest/data-quality), and `sql`.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, get_args

from beam_pipelines.contract import patterns, values
from beam_pipelines.contract.findings import shown
from beam_pipelines.errors import did_you_mean

if TYPE_CHECKING:
    from beam_pipelines.contract.field import Field, Scalar

Metric = Literal["rowCount", "nullValues", "missingValues", "invalidValues", "duplicateValues", "sql"]
Operator = Literal[
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
]
Unit = Literal["rows", "percent"]
Severity = Literal["error", "warning"]

Number = int | float | Decimal

_COMPARES: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "mustBe": (operator.eq, "must be"),
    "mustNotBe": (operator.ne, "must not be"),
    "mustBeGreaterThan": (operator.gt, "must be above"),
    "mustBeGreaterOrEqualTo": (operator.ge, "must be at least"),
    "mustBeLessThan": (operator.lt, "must be below"),
    "mustBeLessOrEqualTo": (operator.le, "must be at most"),
}
RANGES = ("mustBeBetween", "mustNotBeBetween")
"""Operators that take two numbers, both included."""


@dataclasses.dataclass(frozen=True)
class QualityRule:
    """A metric and what it must be.

    `nullValues`, `missingValues` (those listed in `listed`) and `invalidValues` (not listed in `listed`, or
    not of `pattern`; nulls aside) count rows by one field. `duplicateValues` counts the rows beyond the first
    of each value of `fields`, rows with a null among them aside. `rowCount` counts rows. `sql` is a `query`:
    an expression over a row's columns is judged in each row; `SELECT count(*) FROM … WHERE …` counts rows.

    >>> rule = QualityRule("nullValues", "mustBeLessThan", 1, ("email",), unit="percent")
    >>> rule.name, rule.passes(3, rows=400), str(rule)
    ('nullValues of email', True, 'nullValues of email must be below 1 percent')
    """

    metric: Metric
    operator: Operator
    expected: Scalar | tuple[Number, Number]
    fields: tuple[str, ...] = ()
    unit: Unit = "rows"
    severity: Severity = "error"
    """An `error` refuses the row, or the run if the rule is about the data set; a `warning` is counted."""
    title: str | None = None
    listed: tuple[Any, ...] | None = None
    pattern: str | None = None
    query: str | None = None
    description: str | None = dataclasses.field(default=None, repr=False)
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """What only informs (id, dimension, tags, …), as the contract's file has it."""

    def __post_init__(self) -> None:
        for attribute in ("fields", "listed"):
            if isinstance(getattr(self, attribute), list):
                object.__setattr__(self, attribute, tuple(getattr(self, attribute)))
        if isinstance(self.expected, list):
            object.__setattr__(self, "expected", tuple(self.expected))

    @property
    def name(self) -> str:
        """Its title, or else what it counts."""
        if self.title is not None:
            return self.title
        if self.metric == "sql":
            return f"sql: {' '.join((self.query or '').split())}"
        return self.metric + (f" of {', '.join(self.fields)}" if self.fields else "")

    @property
    def of_rows(self) -> bool:
        """True when each row is judged by itself, so that those that break the rule can be told apart."""
        return self.metric == "sql" and not (self.query or "").lstrip(" \t\r\n(").upper().startswith("SELECT")

    def passes(self, count: int, rows: int) -> bool:
        """Tell whether a metric's value keeps the rule; percents are of `rows`, and of no rows 0."""
        value = self.value(count, rows)
        if isinstance(self.expected, tuple):
            low, high = map(_exact, self.expected)
            return (low <= value <= high) == (self.operator == "mustBeBetween")
        return _COMPARES[self.operator][0](value, _exact(self.expected))

    def value(self, count: int, rows: int) -> Fraction:
        """The number that is compared: a count, or a percentage, exactly."""
        return Fraction(100 * count, rows or 1) if self.unit == "percent" else Fraction(count)

    def __str__(self) -> str:
        return f"{self.name} {self.demand}"

    @property
    def demand(self) -> str:
        """What it must be, in words.

        >>> QualityRule("rowCount", "mustBeBetween", (100, 120)).demand
        'must be between 100 and 120'
        """
        unit = " percent" if self.unit == "percent" else ""
        if isinstance(self.expected, tuple):
            words = "must be" if self.operator == "mustBeBetween" else "must not be"
            return f"{words} between {self.expected[0]} and {self.expected[1]}{unit}"
        expected = str(self.expected).lower() if isinstance(self.expected, bool) else str(self.expected)
        return f"{_COMPARES[self.operator][1]} {expected}{unit}"


def rule_conflicts(rule: QualityRule, fields: Sequence[Field], name: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a rule of the contract `name`: the attribute, and the message."""
    for attribute, allowed in (("metric", Metric), ("operator", Operator), ("unit", Unit), ("severity", Severity)):
        word = getattr(rule, attribute)
        if word not in get_args(allowed):
            yield attribute, f"{attribute} {shown(word)} is not known.{did_you_mean(str(word), get_args(allowed))}"
            return
    yield from _of_expected(rule)
    known = {field.name: field for field in fields}
    for each in rule.fields:
        if each not in known:
            yield "fields", f"there is no field '{each}'.{did_you_mean(each, known)}"
            return
    yield from _of_metric(rule, known)
    if rule.metric == "sql":
        from beam_pipelines.contract.sql_rules import query_conflict  # the parser of SQL takes 0.3 s to import

        wrong = query_conflict(rule, fields, name)
        if wrong is not None:
            yield "query", wrong


def _of_expected(rule: QualityRule) -> Iterator[tuple[str, str]]:
    expected = rule.expected
    if rule.operator in RANGES:
        if not isinstance(expected, tuple) or len(expected) != 2 or not all(map(_is_number, expected)):
            yield "expected", f"{rule.operator} takes two numbers, as in [100, 120]"
        elif _exact(expected[0]) > _exact(expected[1]):
            yield "expected", f"{rule.operator}: {expected[0]} is above {expected[1]}; the smaller number comes first"
    elif not _is_number(expected) and not (rule.of_rows and isinstance(expected, bool | str)):
        yield "expected", f"{rule.operator} takes a number, not {shown(expected)}"


def _of_metric(rule: QualityRule, known: dict[str, Field]) -> Iterator[tuple[str, str]]:
    metric = rule.metric
    if (rule.query is None) == (metric == "sql"):
        yield "query", "a query belongs to the metric sql, which needs one"
    if rule.of_rows and rule.unit == "percent":
        yield "unit", "a rule that is judged in each row has no percent: write SELECT count(*) FROM … WHERE …"
    if metric == "rowCount" and (rule.fields or rule.unit == "percent"):
        yield "metric", "rowCount counts all rows: it has no field, and no percent"
    if metric in ("nullValues", "missingValues", "invalidValues") and len(rule.fields) != 1:
        yield "metric", f"{metric} is about one field: state it at the property"
    if metric == "duplicateValues":
        if not rule.fields:
            yield "metric", "duplicateValues needs a field: state it at a property, or list the properties in arguments"
        for each in rule.fields:
            if values.is_nested(known[each].type):
                yield "fields", f"duplicateValues can't compare field '{each}', which is {known[each].type}"
    if metric in ("missingValues", "invalidValues") and len(rule.fields) == 1:
        yield from _of_arguments(rule, known[rule.fields[0]])
    elif metric != "sql" and (rule.listed is not None or rule.pattern is not None):
        yield "listed", f"{metric} takes no list of values and no pattern"


def _of_arguments(rule: QualityRule, field: Field) -> Iterator[tuple[str, str]]:
    if rule.metric == "missingValues" and rule.pattern is not None:
        yield "pattern", "missingValues takes a list of values, not a pattern"
    if rule.listed is None and rule.pattern is None:
        argument = "missingValues" if rule.metric == "missingValues" else "validValues or a pattern"
        yield "listed", f"{rule.metric} needs the argument {argument}"
    if values.is_nested(field.type):
        yield "fields", f"{rule.metric} is not for field '{field.name}', which is {field.type}"
        return
    for value in rule.listed or ():
        if value is not None and (wrong := values.misfit(value, field.type)):
            yield "listed", f"{shown(value)} {wrong}"
    if rule.pattern is not None:
        if field.type != values.SIMPLE[0]:
            yield "pattern", f"a pattern is for strings, not for {field.type}"
            return
        try:
            patterns.to_re2(rule.pattern)
        except ValueError as error:
            yield "pattern", str(error)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return Decimal(value).is_finite()


def _exact(value: Any) -> Fraction:
    """The number as it is written: 0.1 is a tenth."""
    return Fraction(str(value))
