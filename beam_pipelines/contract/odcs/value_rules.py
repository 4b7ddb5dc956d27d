"""What the values of a property must be like: its listed values, bounds, formats and zone; and its examples."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from beam_pipelines.contract import values
from beam_pipelines.contract.findings import Report, shown
from beam_pipelines.contract.odcs import limits, types
from beam_pipelines.contract.odcs.yaml_tree import Node
from beam_pipelines.contract.time_formats import read_time_format

STANDARD_ZONE = "Etc/UTC"
"""What the standard takes a timestamp's zone for when none is defined."""


def read_rules(item: Node, kind: types.FieldType, required: bool, report: Report) -> dict[str, Any]:
    """What values of the type must be like."""
    zone = None
    rules: dict[str, Any] = {}
    if pa.types.is_timestamp(kind.type):
        zone = rules["default_timezone"] = _zone(item, report)
    if pa.types.is_timestamp(kind.type) or pa.types.is_date(kind.type):
        rules["date_format"] = _java_format(_option(item, "format"))
    elif pa.types.is_string(kind.type) and item.get("logicalTypeOptions", "format") is not None:
        stated: Any = item.get("logicalTypeOptions", "format")
        message = f"the format {shown(stated.data)} informs and isn't checked: say it with a pattern to have it checked"
        report.warning(stated.line, stated.path, message)
    for word, attribute in (("minLength", "min_length"), ("maxLength", "max_length")):
        node = item.get("logicalTypeOptions", word)
        rules[attribute] = int(node.value) if node is not None and isinstance(node.value, int | float) else None
    rules["pattern"] = _option(item, "pattern")
    rules["enum"] = limits.read_enum(item, kind.type, zone, required, report)
    rules["multiple_of"] = limits.read_multiple_of(item, kind.type, report)
    return rules | limits.read_bounds(item, kind, zone, report)


def _java_format(pattern: str | None) -> str | None:
    try:
        return None if pattern is None else read_time_format(pattern).pattern
    except ValueError:
        return pattern  # the check of the field says what is wrong


def _zone(item: Node, report: Report) -> str | None:
    """The zone of timestamps that carry none; None refuses them.

    A plain timestamp says nothing of zones; then each value must. The contract says that they carry
    none by `timezone: false`, a `defaultTimezone`, a format or a physical type without zone.
    """
    stated = item.get("logicalTypeOptions", "timezone")
    default = _option(item, "defaultTimezone")
    if stated is not None and stated.flag:
        return None
    if default is not None:
        return default
    pattern = _option(item, "format")
    without = stated is not None or types.has_no_zone(item)
    if pattern is not None:
        try:
            without = without or not read_time_format(pattern).has_zone
        except ValueError:
            return STANDARD_ZONE  # the format's own finding is enough
    elif not without:
        line, path = item.line_of("logicalType"), item.path
        message = (
            "says nothing of time zones: values without one are refused. If they are UTC, say defaultTimezone: UTC"
        )
        report.warning(line, path, message)
    return STANDARD_ZONE if without else None


def check_examples(item: Node, kind: pa.DataType, zone: str | None, report: Report) -> None:
    """Warn of examples that are no values of the type; a date's with a format of its own may be written in that."""
    listed = item.get("examples")
    if item.get("logicalTypeOptions", "format") is not None and pa.types.is_temporal(kind):
        return
    for each in listed.items if listed is not None else ():
        if values.is_nested(kind):
            wanted = list if pa.types.is_list(kind) else dict
            wrong = None if isinstance(each.value, wanted) else f"is not {'a list' if wanted is list else 'a mapping'}"
        else:
            wrong = None if pa.types.is_string(kind) and each.string is not None else limits.misfit(each, kind, zone)
        if wrong is not None and each.value is not None:
            report.warning(each.line, each.path, f"example {shown(each.data)} {wrong}")


def _option(item: Node, key: str) -> str | None:
    node = item.get("logicalTypeOptions", key)
    return None if node is None else node.string
