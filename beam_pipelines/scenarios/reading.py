"""Scenario files: YAML → scenarios. What is wrong is told with file, line, field and the nearest right word."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from beam_pipelines import pipelines
from beam_pipelines.contract.findings import Report, shown
from beam_pipelines.contract.odcs.yaml_tree import Node, read_tree
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.ingest.streams.script import Passing, Rows, Step, WatermarkAt
from beam_pipelines.options import nearest_flag, specs
from beam_pipelines.scenarios.scenario import PARTS, ExpectedRow, Scenario
from beam_pipelines.scenarios.times import is_of_day, micros_of, read_time
from beam_pipelines.window.duration import seconds_of

FIELDS = ("name", "pipeline", "options", "day", "columns", "format", "stream", "expect", "defect")
STEPS = ("rows", "payloads", "watermark", "pass")
FORMATS = ("jsonl", "csv")
DEFAULT_PIPELINE = "event_analytics"
GIVEN = ("input", "output", "run_id")
"""Options that a scenario doesn't set: it brings its own input and output."""


def read_scenarios(path: str | Path) -> list[Scenario]:
    """Read a file of one scenario, or of a list of them. UsageError tells everything that is wrong in it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path}: the scenario can't be read: {reason}") from wrong
    report = Report()
    root = read_tree(text, report)
    found = [] if root is None else _all(root, str(path), report)
    if report.errors:
        lines = [f"{path}: {finding}" for finding in report.findings]
        raise UsageError("\n".join(lines))
    return found


def _all(root: Node, file: str, report: Report) -> list[Scenario]:
    if not isinstance(root.value, (list, dict)):
        report.error(root.line, (), f"is {shown(root.value)}, not a scenario or a list of scenarios")
        return []
    found, lines = [], dict[str, int]()
    for node in root.items or [root]:
        scenario = _Reading(node, file, report).scenario()
        if scenario is not None:
            if scenario.name in lines:
                report.error(node.line, node.path, f"there is another scenario '{scenario.name}'")
            lines[scenario.name] = node.line
            found.append(scenario)
    return found


class _Reading:
    """One scenario being read; what is wrong goes to the report."""

    def __init__(self, node: Node, file: str, report: Report) -> None:
        self._node, self._file, self._report = node, file, report
        self._day: datetime.date | None = None
        self._columns: list[str] = []

    def scenario(self) -> Scenario | None:
        before = self._report.errors
        if not self._known(self._node, FIELDS, "a scenario"):
            return None
        name = self._text("name") or ""
        pipeline = self._text("pipeline", DEFAULT_PIPELINE) or ""
        self._day = self._date()
        self._columns = [self._string(item, "a column") for item in self._list(self._node, "columns")]
        format = self._text("format", FORMATS[0]) or ""
        if format not in FORMATS:
            self._wrong("format", f"{shown(format)} is not {' or '.join(FORMATS)}.{did_you_mean(format, FORMATS)}")
        options = self._options(pipeline)
        steps = [step for item in self._list(self._node, "stream", required=True) if (step := self._step(item, format))]
        expected = self._expected()
        defect = self._text("defect", "")
        if self._report.errors > before:
            return None
        return Scenario(
            name,
            self._file,
            self._node.line,
            pipeline,
            options,
            tuple(steps),
            expected,
            self._day,
            format,
            defect or None,
        )

    def _step(self, node: Node, format: str) -> Step | None:
        if not self._known(node, STEPS, "a step"):
            return None
        if len(node.value) != 1:
            self._error(node, f"a step is one of {', '.join(STEPS)}")
            return None
        ((kind, value),) = node.value.items()
        if kind == "watermark":
            at = self._time(value)
            return None if at is None else WatermarkAt(at)
        if kind == "pass":
            return self._passing(value)
        if kind == "payloads":
            return Rows(tuple(self._string(item, "a payload") for item in self._list(node, kind)))
        if format != "jsonl":
            self._error(node, f"rows are written as JSON: of {format}, write `payloads`, the records as they come")
        return Rows(tuple(json.dumps(self._with_dates(self._row(item))) for item in self._list(node, kind)))

    def _passing(self, node: Node) -> Passing | None:
        try:
            return Passing(seconds_of(node.string or ""))
        except UsageError as wrong:
            self._error(node, str(wrong))
            return None

    def _time(self, node: Node) -> int | None:
        try:
            return micros_of(read_time(node.string or shown(node.value), self._day))
        except ValueError as wrong:
            self._error(node, str(wrong))
            return None

    def _with_dates(self, row: ExpectedRow) -> dict[str, Any]:
        """Times of the scenario's day with their date, as a source has them."""
        if self._day is None:
            return dict(row)
        return {
            name: f"{read_time(value, self._day).replace(tzinfo=None).isoformat()}Z"
            if isinstance(value, str) and is_of_day(value)
            else value
            for name, value in row.items()
        }

    def _row(self, node: Node) -> ExpectedRow:
        if isinstance(node.value, dict):
            return {name: _plain(value) for name, value in node.value.items()}
        if not isinstance(node.value, list):
            self._error(node, f"is {shown(node.value)}, not a row: write {{column: value, …}}, or [value, …]")
        elif not self._columns:
            self._error(node, "values without names need the scenario's `columns: [name, …]`")
        elif len(node.items) != len(self._columns):
            self._error(node, f"has {len(node.items)} values, and `columns` names {len(self._columns)}")
        else:
            return dict(zip(self._columns, map(_plain, node.items), strict=True))
        return {}

    def _expected(self) -> Mapping[str, tuple[ExpectedRow, ...]]:
        node = self._node.get("expect")
        if node is None or not self._known(node, PARTS, "what is expected"):
            return {}
        return {part: tuple(map(self._row, self._list(node, part))) for part in PARTS if part in node.value}

    def _options(self, pipeline: str) -> dict[str, Any]:
        try:
            known = [spec.name for spec in specs(pipelines.find(pipeline).options)]
        except UsageError as wrong:
            self._wrong("pipeline", str(wrong))
            return {}
        missing = [name for name in ("input", "output") if name not in known]
        if missing:
            self._wrong("pipeline", f"{pipeline} has no option --{missing[0]}, so no stream can be played to it")
        node = self._node.get("options")
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self._error(node, "is not a mapping of options to values")
            return {}
        for name in node.value:
            line, path = node.key_lines[name], (*node.path, name)
            if name in GIVEN:
                self._report.error(line, path, "is not to be set: a scenario brings its own input and output")
            elif name not in known:
                near = nearest_flag(name, known)
                hint = (
                    f"Did you mean '{near}'?" if near else f"`beam-pipelines describe {pipeline}` lists what there is."
                )
                self._report.error(line, path, f"is not an option of {pipeline}. {hint}")
        return {name: _option(value) for name, value in node.value.items()}

    def _date(self) -> datetime.date | None:
        text = self._text("day", "")
        if not text:
            return None
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            self._wrong("day", f"{shown(text)} is not a date such as 2024-05-01")
            return None

    def _text(self, key: str, default: str | None = None) -> str | None:
        node = self._node.get(key)
        if node is None:
            if default is None:
                self._report.error(self._node.line, self._node.path, f"a scenario has a `{key}`")
            return default
        return self._string(node, "a text")

    def _string(self, node: Node, what: str) -> str:
        if node.string is None:
            self._error(node, f"is {shown(node.value)}, not {what}")
            return ""
        return node.string

    def _list(self, node: Node, key: str, *, required: bool = False) -> list[Node]:
        found = node.value.get(key)
        if found is None or found.value is None:
            if required:
                self._report.error(node.line, node.path, f"a scenario has a `{key}`, a list of steps")
            return []
        if not isinstance(found.value, list):
            self._error(found, f"is {shown(found.value)}, not a list")
        return found.items

    def _known(self, node: Node, names: Collection[str], what: str) -> bool:
        """Whether it is a mapping of nothing but these."""
        if not isinstance(node.value, dict):
            self._error(node, f"is {shown(node.value)}, not {what}, which is a mapping of {', '.join(names)}")
            return False
        unknown = [name for name in node.value if name not in names]
        for name in unknown:
            message = f"is not a field of {what}.{did_you_mean(name, names)}"
            self._report.error(node.key_lines[name], (*node.path, name), message)
        return not unknown

    def _wrong(self, key: str, message: str) -> None:
        self._report.error(self._node.line_of(key), (*self._node.path, key), message)

    def _error(self, node: Node, message: str) -> None:
        self._report.error(node.line, node.path, message)


def _plain(node: Node) -> Any:
    if isinstance(node.value, list):
        return [_plain(item) for item in node.items]
    if isinstance(node.value, dict):
        return {name: _plain(value) for name, value in node.value.items()}
    return node.value


def _option(node: Node) -> Any:
    """An option's value as text, or as a list of texts."""
    if isinstance(node.value, list):
        return [item.string if item.string is not None else shown(item.value) for item in node.items]
    return node.string if node.string is not None else shown(node.value)
