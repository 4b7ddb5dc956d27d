"""`quality` of a property or a schema object as quality rules."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

from beam_pipelines.contract.field import Field
from beam_pipelines.contract.findings import Path, Report, shown
from beam_pipelines.contract.odcs.limits import UnreadableError, read_value
from beam_pipelines.contract.odcs.yaml_tree import Node
from beam_pipelines.contract.rules import RANGES, Metric, Operator, QualityRule, Severity, Unit
from beam_pipelines.errors import did_you_mean

_SEVERITIES: dict[str, Severity] = {"error": "error", "critical": "error", "warning": "warning", "info": "warning"}
_ARGUMENTS = {"missingValues": ("missingValues",), "invalidValues": ("validValues", "pattern")}
_READ = frozenset(
    {"type", "metric", "query", "arguments", "unit", "severity", "name", "description", *get_args(Operator)}
)
_PLACES = {
    "metric": ("metric",),
    "unit": ("unit",),
    "query": ("query",),
    "fields": ("arguments", "properties"),
    "listed": ("arguments",),
    "pattern": ("arguments", "pattern"),
}


class Stated(NamedTuple):
    """A rule and where it stands."""

    rule: QualityRule
    node: Node

    def place(self, attribute: str) -> tuple[int, Path]:
        """Line and path of an attribute of the rule."""
        keys = (self.rule.operator,) if attribute == "expected" else _PLACES.get(attribute, ())
        return self.node.line_of(*keys), (*self.node.path, *keys)


class Quality(NamedTuple):
    """The rules that can be judged here, and those for other readers as they were."""

    rules: list[Stated]
    others: list[Any]


def read_quality(element: Node, field: Field | None, report: Report) -> Quality:
    """Read the rules of a schema object, or of the property that is `field`."""
    listed = element.get("quality")
    rules: list[Stated] = []
    others: list[Any] = []
    for entry in listed.items if listed is not None else ():
        if not isinstance(entry.value, dict):
            continue  # the standard's schema says so
        kind = _text(entry, "type") or "library"
        if kind in ("text", "custom"):
            others.append(entry.data)
            if kind == "custom":
                engine = _text(entry, "engine") or "another engine"
                report.warning(entry.line, entry.path, f"the rule is written for {engine}: not checked here")
        elif (rule := _rule(entry, kind, field, report)) is not None:
            rules.append(Stated(rule, entry))
    return Quality(rules, others)


def _rule(entry: Node, kind: str, field: Field | None, report: Report) -> QualityRule | None:
    before = report.errors
    metric = "sql" if kind == "sql" else _text(entry, "metric")
    operators = [word for word in get_args(Operator) if word in entry.value]
    if metric is None or metric not in get_args(Metric) or len(operators) != 1:
        return None  # the standard's schema says what is missing
    expected = _expected(entry.value[operators[0]], operators[0], report)
    facts: dict[str, Any] = {
        "unit": _word(entry, "unit", dict.fromkeys(get_args(Unit)), "rows", report),
        "severity": _SEVERITIES.get(_word(entry, "severity", _SEVERITIES, "error", report), "error"),
        "title": _text(entry, "name"),
        "query": _text(entry, "query"),
        "description": _text(entry, "description"),
        "about": {key: node.data for key, node in entry.value.items() if key not in _READ and node.value is not None},
        **_arguments(entry, metric, field, report),
    }
    if report.errors > before:
        return None
    return QualityRule(metric, operators[0], expected, **facts)  # type: ignore[arg-type]


def _expected(node: Node, word: str, report: Report) -> Any:
    if word in RANGES:
        return tuple(each.value for each in node.items)
    if isinstance(node.value, list | dict) or node.value is None:
        report.error(node.line, node.path, f"{word} takes a number, not {shown(node.data)}")
    return node.value


def _word(entry: Node, key: str, allowed: dict[str, Any], default: str, report: Report) -> str:
    node = entry.get(key)
    word = default if node is None else node.string
    if node is not None and word not in allowed:
        message = f"{key} {shown(node.data)} is not known here.{did_you_mean(str(node.data), allowed)}"
        report.error(node.line, node.path, message)
    return word or default


def _arguments(entry: Node, metric: str, field: Field | None, report: Report) -> dict[str, Any]:
    found: dict[str, Any] = {"fields": () if field is None else (field.name,)}
    arguments = entry.get("arguments")
    known = ("properties",) if metric == "duplicateValues" and field is None else _ARGUMENTS.get(metric, ())
    given = arguments.value if arguments is not None and isinstance(arguments.value, dict) else {}
    for key, node in given.items():
        if key not in known:
            message = f"{metric} has no argument '{key}'.{did_you_mean(key, known)}"
            report.error(node.line, node.path, message)
        elif key == "pattern":
            found["pattern"] = node.string
        elif key == "properties":
            found["fields"] = tuple(each.string or "" for each in node.items)
        elif field is not None:
            found["listed"] = _listed(node, field, report)
    return found


def _listed(node: Node, field: Field, report: Report) -> tuple[Any, ...]:
    listed = []
    for each in node.items:
        try:
            listed.append(None if each.value is None else read_value(each, field.type, field.default_timezone))
        except UnreadableError as error:  # noqa: PERF203  there are few
            report.error(each.line, each.path, f"{shown(each.data)} {error}")
    return tuple(listed)


def _text(node: Node, key: str) -> str | None:
    found = node.get(key)
    return None if found is None else found.string
