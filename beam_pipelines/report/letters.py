"""Dead letters by rule, stage and source, with examples that show the shape of a payload and none of its content."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable

import pyarrow as pa

EXAMPLES = 3
"""Examples of one rule: enough to see what is wrong."""

SHOWN_CHARS = 240
"""Of an example's payload."""

_SOURCES = 5  # named for one rule; the others are counted


@dataclasses.dataclass(frozen=True)
class Example:
    """A refused row: what was said of it, where it is, and its payload with each letter and digit hidden."""

    field: str | None
    message: str
    source: str | None
    position: int | None
    payload: str


@dataclasses.dataclass
class Refusals:
    """The rows that a stage refused for one rule, counted by the field and the source."""

    rule: str
    transform: str
    rows: int = 0
    fields: dict[str, int] = dataclasses.field(default_factory=dict)
    sources: dict[str, int] = dataclasses.field(default_factory=dict)
    examples: list[Example] = dataclasses.field(default_factory=list)

    @property
    def top_sources(self) -> list[tuple[str, int]]:
        """The sources with most of these rows."""
        return sorted(self.sources.items(), key=lambda item: (-item[1], item[0]))[:_SOURCES]

    @property
    def other_sources(self) -> int:
        """How many sources `top_sources` doesn't name."""
        return max(0, len(self.sources) - _SOURCES)


def summarize(letters: Iterable[pa.RecordBatch], names: Collection[str] = ()) -> list[Refusals]:
    """Summarise batches of dead letters, most rows first. `names` are words of payloads that may be shown."""
    found: dict[tuple[str, str], Refusals] = {}
    for batch in letters:
        counted = (
            pa.Table.from_batches([batch])
            .group_by(["rule", "transform", "field", "source"])
            .aggregate([([], "count_all")])
        )
        for row in counted.to_pylist():
            refusals = found.setdefault((row["rule"], row["transform"]), Refusals(row["rule"], row["transform"]))
            refusals.rows += row["count_all"]
            for counts, key in ((refusals.fields, row["field"]), (refusals.sources, row["source"])):
                if key is not None:
                    counts[key] = counts.get(key, 0) + row["count_all"]
        _add_examples(found, batch, names)
    return sorted(found.values(), key=lambda refusals: (-refusals.rows, refusals.rule, refusals.transform))


def _add_examples(found: dict[tuple[str, str], Refusals], batch: pa.RecordBatch, names: Collection[str]) -> None:
    """Take the first rows of each rule that lacks examples, not looking at rows that can't be one."""
    rules, transforms = (batch.column(name).to_pylist() for name in ("rule", "transform"))
    for row, key in enumerate(zip(rules, transforms, strict=True)):
        refusals = found[key]
        if len(refusals.examples) < EXAMPLES:
            field, message, source, position, payload = (
                batch.column(name)[row].as_py() for name in ("field", "message", "source", "position", "payload")
            )
            refusals.examples.append(Example(field, message, source, position, hidden(payload or b"", names)))


def hidden(payload: bytes, names: Collection[str] = ()) -> str:
    r"""Return a payload's shape: letters become x or X, digits 9. JSON keys that are in `names` stay.

    >>> hidden(b'{"name": "Ann", "age": 41, "x": "J\xf6rg"}', {"name", "age"})
    '{"name": "Xxx", "age": 99, "x": "X�xx"}'
    """
    text = payload[: 4 * SHOWN_CHARS].decode(errors="replace")
    keys = "|".join(re.escape(name) for name in sorted(names))
    parts = re.split(rf'("(?:{keys})"(?=\s*:))', text) if keys else [text]
    shape = "".join(part if place % 2 else _shape(part) for place, part in enumerate(parts))
    return shape if len(shape) <= SHOWN_CHARS else f"{shape[:SHOWN_CHARS]}…"


def _shape(text: str) -> str:
    return "".join(
        "9" if char.isdigit() else ("X" if char.isupper() else "x") if char.isalpha() else char for char in text
    )
