"""What came of a scenario, written into its file as what is expected; everything else in it stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from beam_pipelines.errors import UsageError
from beam_pipelines.scenarios.playing import Came
from beam_pipelines.scenarios.scenario import PARTS, Scenario
from beam_pipelines.scenarios.values import rows_of, shown

_KEY = "expect"
_OF_LETTERS = ("rule", "field", "payload")
_STEP = 2


def update(path: str | Path, came: Mapping[str, tuple[Scenario, Came]]) -> None:
    """Write into a file what came of its scenarios, by their names.

    A part that was expected keeps the columns that its rows named. UsageError for a scenario in braces.
    """
    text = Path(path).read_text(encoding="utf-8")
    root = yaml.compose(text, yaml.SafeLoader)
    nodes = root.value if isinstance(root, yaml.SequenceNode) else [root]
    for node in reversed(nodes):  # from the end, so that places before it stay right
        name = next(value.value for key, value in node.value if key.value == "name")
        if name in came:
            text = _with_expected(text, node, *came[name])
    Path(path).write_text(text, encoding="utf-8")


def _with_expected(text: str, node: yaml.MappingNode, scenario: Scenario, came: Came) -> str:
    if node.flow_style:
        raise UsageError(f"{scenario.place}: a scenario in braces can't be updated: write it in lines, key: value")
    first = node.value[0][0].start_mark
    told = _told(scenario, came, first.column)
    for key, value in node.value:
        if key.value == _KEY:
            return text[: key.start_mark.index] + told + text[_end(text, key.start_mark.index, value) :]
    last_key, last = node.value[-1]
    end = _end(text, last_key.start_mark.index, last)
    return f"{text[:end]}\n{' ' * first.column}{told}{text[end:] or chr(10)}"


def _end(text: str, start: int, value: yaml.Node) -> int:
    """Where a value ends: not with the empty lines and comments behind it, which belong to what follows."""
    kept = text[start : value.end_mark.index].split("\n")
    while len(kept) > 1 and (not kept[-1].strip() or kept[-1].lstrip().startswith("#")):
        kept.pop()
    return start + len("\n".join(kept).rstrip())


def _told(scenario: Scenario, came: Came, indent: int) -> str:
    written = [f"{_KEY}:"]
    for part in PARTS:
        before = scenario.expected.get(part, ())
        columns = list(dict.fromkeys(name for row in before for name in row)) or None
        if columns is None and part == "dead_letters":
            columns = list(_OF_LETTERS)
        rows = sorted(rows_of(came.parts[part], scenario.day, columns), key=shown)
        place = " " * (indent + _STEP)
        written.append(f"{place}{part}:{'' if rows else ' []'}")
        written += [f"{place}{' ' * _STEP}- {shown(row)}" for row in rows]
    return "\n".join(written)
