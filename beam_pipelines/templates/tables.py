"""Options as tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from beam_pipelines.options import OptionSpec

_HEAD = "| option | type | default | what it says |\n| --- | --- | --- | --- |"
_TYPES = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def option_tables(specs: Sequence[OptionSpec], heading: str = "###") -> Iterator[str]:
    """A heading and a table for each group, in the order of the options."""
    for group in dict.fromkeys(spec.group for spec in specs):
        rows = "\n".join(_row(spec) for spec in specs if spec.group == group)
        yield f"{heading} {group[0].upper()}{group[1:]}\n\n{_HEAD}\n{rows}"


def _row(spec: OptionSpec) -> str:
    default = "**required**" if spec.required else _code(spec.default_text) if spec.default_text is not None else ""
    return f"| `{spec.name}` | {_type(spec)} | {default} | {_cell(' '.join(_says(spec)))} |"


def _type(spec: OptionSpec) -> str:
    if spec.choices:
        words = " ".join(_code(word) for word in spec.choices)
        return f"some of {words}" if spec.many else words
    return _TYPES[spec.type] + (", may be several" if spec.many else "")


def _says(spec: OptionSpec) -> Iterator[str]:
    yield spec.help
    for word, meaning in spec.meanings.items():
        yield f"`{word}`: {meaning}."
    if spec.requires is not None:
        values = " or ".join(_code(value) for value in spec.requires.values)
        yield f"Only with `{spec.requires.name}`{f' {values}' if values else ''}."
    if spec.pattern is not None:
        yield f"Form: {_code(spec.pattern)}."
    if spec.example is not None:
        yield f"Example: {_code(spec.example)}."


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    """Text that doesn't end a cell, nor is taken for HTML or emphasis."""
    return text.replace("|", "\\|").replace("<", "&lt;")
