"""A contract as a page for people: Markdown, which stands alone."""

from __future__ import annotations

from collections.abc import Iterator

from beam_pipelines.contract.field import Field, child_path
from beam_pipelines.contract.model import Contract

_MORE = 12  # listed values shown


def to_markdown(contract: Contract) -> str:
    """Return the page: what the data set is, its fields with types, rules and masks, its keys and quality rules.

    >>> import pyarrow as pa
    >>> print(to_markdown(Contract("orders", (Field("id", pa.int64(), required=True, minimum=1),))).splitlines()[8])
    | `id` | int64 | required, at least 1 |  |  |
    """
    lines = [f"# {_plain(contract.name)}", "", f"Version {_plain(contract.version)}."]
    if contract.description:
        lines += ["", contract.description.strip()]
    purpose = contract.about.get("description")
    if isinstance(purpose, dict):
        lines += ["", *(f"**{key.capitalize()}.** {value}" for key, value in purpose.items() if isinstance(value, str))]
    lines += ["", "## Fields", "", "| field | type | rules | hidden | what it is |", "| --- | --- | --- | --- | --- |"]
    lines += [_row(path, field) for outer in contract.fields for path, field in _everything(outer)]
    for title, found in (
        ("Roles", _roles(contract)),
        ("Quality", _quality(contract)),
        ("Measures", _measures(contract)),
    ):
        items = [f"- {each}" for each in found]
        if items:
            lines += ["", f"## {title}", "", *items]
    return "\n".join(lines) + "\n"


def _everything(field: Field, path: str | None = None) -> Iterator[tuple[str, Field]]:
    place = field.name if path is None else path
    yield place, field
    for child in field.children:
        yield from _everything(child, child_path(field, child, place))


def _row(path: str, field: Field) -> str:
    kind = {"struct": "object", "list": "array", "map": "map"}.get(str(field.type).partition("<")[0], str(field.type))
    cells = [f"`{path}`", kind, ", ".join(_rules(field)), _hidden(field), field.description or ""]
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _rules(field: Field) -> Iterator[str]:
    if field.required or field.event_time:
        yield "required"
    if field.unique:
        yield "unique"
    if field.physical_name is not None:
        yield f"read from `{field.physical_name}`"
    for attribute, words in (
        ("minimum", "at least {}"),
        ("exclusive_minimum", "above {}"),
        ("maximum", "at most {}"),
        ("exclusive_maximum", "below {}"),
        ("multiple_of", "a multiple of {}"),
        ("min_length", "at least {} characters"),
        ("max_length", "at most {} characters"),
        ("pattern", "matches `{}`"),
        ("date_format", "written `{}`"),
        ("default_timezone", "{} time unless it says another"),
        ("min_items", "at least {} in it"),
        ("max_items", "at most {} in it"),
    ):
        value = getattr(field, attribute)
        if value is not None:
            yield words.format(value)
    if field.unique_items:
        yield "no item twice"
    if field.enum is not None:
        listed = ", ".join(f"`{value}`" for value in field.enum[:_MORE])
        yield f"one of {listed}" + (f" and {len(field.enum) - _MORE} more" if len(field.enum) > _MORE else "")
    if field.on_failure != "reject":
        yield {
            "null": "else it becomes null",
            "warn": "else a warning is counted",
            "fail": "else the run fails",
        }[field.on_failure]


def _hidden(field: Field) -> str:
    return ", ".join(filter(None, (field.classification, str(field.mask) if field.mask is not None else None)))


def _roles(contract: Contract) -> Iterator[str]:
    if contract.primary_key:
        kept = ", of rows with the same one only one is kept" if contract.deduplicate else ""
        yield f"primary key: {_names(contract.primary_key)}{kept}"
    if contract.event_time is not None:
        yield f"event time: {_names((contract.event_time.name,))}"
    if contract.partition_by:
        yield f"partitioned by {_names(contract.partition_by)}"
    for relationship in contract.relationships:
        yield f"foreign key: {_plain(str(relationship))}"
    yield {
        "discard_value": "unknown fields are left out",
        "discard_row": "a row with unknown fields is refused",
        "freeze": "an unknown field makes the run fail",
        "evolve": "unknown fields are kept in `_extra`",
    }[contract.on_schema_change]


def _quality(contract: Contract) -> Iterator[str]:
    for rule in (*contract.row_rules, *contract.data_set_rules):
        told = f" {rule.description}" if rule.description else ""
        if rule.of_rows:
            yield f"each row: `{' '.join((rule.query or '').split())}` {rule.demand} ({rule.severity}).{told}"
        else:
            yield f"{_plain(str(rule))} ({rule.severity}).{told}"


def _measures(contract: Contract) -> Iterator[str]:
    for measure in contract.measures:
        told = f": {measure.description}" if measure.description else ""
        yield f"**{_plain(measure.name)}** = `{measure.sql}`{told}"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
