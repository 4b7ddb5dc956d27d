"""What was found in a contract's text: where, how bad, and what to do."""

from __future__ import annotations

import dataclasses
from typing import Literal

Severity = Literal["error", "warning"]


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """One thing found in a contract's text.

    `line` counts from 1. `path` is where in the document, as `schema[orders].properties[id].required`.

    >>> print(Finding(7, "error", "schema[orders].properties[id].required", "must be true or false, is 'maybe'"))
    line 7: schema[orders].properties[id].required: must be true or false, is 'maybe'
    """

    line: int
    severity: Severity
    path: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.path}: {self.message}" if self.path else f"line {self.line}: {self.message}"


Path = tuple[str, ...]
"""Steps into the document: a key as it is, an item of a list as `[label]`."""


class Report:
    """Gathers findings while a document is read, so that all of them are told at once."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}
        self.errors = 0

    def error(self, line: int, path: Path, message: str) -> None:
        """Note what makes the contract unusable."""
        self.add(line, "error", path, message)

    def warning(self, line: int, path: Path, message: str) -> None:
        """Note what the contract's author would want to know."""
        self.add(line, "warning", path, message)

    def add(self, line: int, severity: Severity, path: Path, message: str) -> None:
        """Note a finding; the same one twice counts once."""
        finding = Finding(line, severity, written(path), message)
        if finding not in self._found:
            self._found[finding] = None
            self.errors += severity == "error"

    @property
    def findings(self) -> list[Finding]:
        """All of them, by line."""
        return sorted(self._found)


def written(path: Path) -> str:
    """Return the path as text.

    >>> written(("schema", "[orders]", "properties"))
    'schema[orders].properties'
    """
    return "".join(step if step.startswith("[") or i == 0 else f".{step}" for i, step in enumerate(path))


def shown(value: object) -> str:
    """Return a value as a message shows it: at most 60 characters.

    >>> shown("x" * 100)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'"
    """
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case str():
            return f"'{value if len(value) <= 60 else value[:56] + '…'}'"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"a mapping of {len(value)} keys"
        case _:
            text = str(value)
            return text if len(text) <= 60 else text[:59] + "…"
