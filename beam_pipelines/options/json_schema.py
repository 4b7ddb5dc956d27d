"""Options as JSON Schema (draft 2020-12): for editors, forms and everybody who checks values without our code."""

from __future__ import annotations

from typing import Any

from beam_pipelines.options.definition import OptionSpec, Parent, specs

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def json_schema(cls: type, *, title: str = "", description: str = "") -> dict[str, Any]:
    """Describe an options class as a schema of objects with one property for each option.

    Of values in their own types it accepts what `options.parse` accepts, but for options with a check in Python,
    which has no place in a schema. Texts that stand for numbers, and blanks that stand for nothing, it doesn't know.

    >>> import dataclasses
    >>> from beam_pipelines.options import option
    >>> @dataclasses.dataclass(frozen=True)
    ... class Options:
    ...     limit: int = option("Stop after so many rows.", default=3)
    >>> json_schema(Options)["properties"]
    {'limit': {'title': 'Limit', 'description': 'Stop after so many rows.', 'type': 'integer', 'default': 3}}
    """
    known = {spec.name: spec for spec in specs(cls)}
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= {name: text for name, text in (("title", title), ("description", description)) if text}
    schema |= {
        "type": "object",
        "properties": {spec.name: _property(spec) for spec in known.values()},
        "required": [spec.name for spec in known.values() if spec.required],
        "additionalProperties": False,
    }
    conditions = [_condition(spec, spec.requires, known) for spec in known.values() if spec.requires is not None]
    return schema | ({"allOf": conditions} if conditions else {})


def _property(spec: OptionSpec) -> dict[str, Any]:
    about: dict[str, Any] = {"title": spec.label, "description": " ".join(filter(None, (spec.help, spec.condition)))}
    value: dict[str, Any] = {"type": _TYPES[spec.type]}
    if spec.choices:
        value["enum"] = list(spec.choices)
    if spec.pattern is not None:
        value["pattern"] = f"^(?:{spec.pattern})$"
    about |= {"type": "array", "items": value} if spec.many else value
    if spec.required and spec.many:
        about["minItems"] = 1
    if spec.required and spec.type is str and not spec.many:
        about["minLength"] = 1
    if spec.default_text is not None:
        about["default"] = list(spec.default) if spec.many else spec.default
    return about


def _condition(spec: OptionSpec, parent: Parent, known: dict[str, OptionSpec]) -> dict[str, Any]:
    """If the option is there and isn't its default, its parent must be there with one of its values."""
    above = known[parent.name]
    given: dict[str, Any] = {"required": [spec.name]}
    idle: list[Any] = [[]] if spec.many else [None, ""] if spec.default is None else []
    idle += [] if spec.default_text is None else [list(spec.default) if spec.many else spec.default]
    if idle:
        given["properties"] = {spec.name: {"not": {"enum": idle}}}
    wanted: dict[str, Any] = {}
    if parent.values:
        allowed = [_as_json(above, text) for text in parent.values]
        wanted["properties"] = {parent.name: {"contains": {"enum": allowed}} if above.many else {"enum": allowed}}
    if not parent.values or above.default_text not in parent.values:
        wanted["required"] = [parent.name]
    return {"if": given, "then": wanted}


def _as_json(spec: OptionSpec, text: str) -> Any:
    return text == "true" if spec.type is bool else spec.type(text)
