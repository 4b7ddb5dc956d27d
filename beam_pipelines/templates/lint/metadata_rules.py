"""Metadata by itself: parameters that nobody can fill in rightly, and secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.templates.container_spec import read_metadata, read_spec
from beam_pipelines.templates.lint.findings import Finding, Folder

SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?key|private_?key|credential)")
_BY_REFERENCE = re.compile(r"(?i)(_|-)?(file|path|name|id|uri|url|reference|ref|env|variable|topic|version)s?$")
_LITERAL = re.compile(r"AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|ghp_[0-9A-Za-z]{36}|-----BEGIN [A-Z ]*PRIVATE KEY-----")


def described(folder: Folder) -> Iterator[tuple[str, Any, Any]]:
    """Path, metadata and container spec (None when it is metadata alone) of each description in a folder.

    Nothing is yielded for other JSON files. UsageError comes with the name of a file that is one and can't be read.
    """
    for path, text in folder.named(".json"):
        kind = _kind(path, text)
        if kind == "spec":
            spec = read_spec(text, path)
            yield path, spec.metadata, spec
        elif kind == "metadata":
            yield path, read_metadata(text, path), None


def metadata_findings(folder: Folder) -> Iterator[Finding]:
    """What is wrong with metadata files and container specs."""
    for path, text in folder.named(".json"):
        try:
            found = list(described(Folder({path: text})))
        except UsageError as wrong:
            yield Finding("error", "unreadable", path, str(wrong).removeprefix(f"{path} "))
            continue
        for _, metadata, _ in found:
            yield from _of_parameters(path, metadata)
    for path, text in folder.files.items():
        if _LITERAL.search(text):
            yield Finding("error", "secret", path, "holds a key in clear; take it out, and make a new one")


def _kind(path: str, text: str) -> str | None:
    try:
        facts = json.loads(text)
    except ValueError:
        return "metadata" if "metadata" in path else None
    if not isinstance(facts, dict):
        return None
    if "image" in facts and ("metadata" in facts or "sdkInfo" in facts):
        return "spec"
    return "metadata" if isinstance(facts.get("parameters"), list) and "name" in facts else None


def _of_parameters(path: str, metadata: Any) -> Iterator[Finding]:
    known = {each.name: each for each in metadata.parameters}
    seen: set[str] = set()
    for parameter in metadata.parameters:
        name = parameter.name
        if name in seen:
            yield Finding("error", "twice", path, f"parameter {name} is described twice")
        seen.add(name)
        if not parameter.help_text.strip():
            yield Finding("error", "no-help", path, f"parameter {name} has no helpText: say what it does")
        elif parameter.help_text.strip().lower().rstrip(".") in (name.lower(), parameter.label.lower().rstrip(".")):
            yield Finding("warning", "no-help", path, f"parameter {name}: its helpText only repeats its name")
        if not parameter.label.strip():
            yield Finding("warning", "no-label", path, f"parameter {name} has no label")
        yield from (Finding("error", rule, path, f"parameter {name} {text}") for rule, text in _rules(parameter, known))
        if SECRET.search(name) and not _BY_REFERENCE.search(name):
            yield Finding(
                "error",
                "secret",
                path,
                f"parameter {name} would hold a secret, which everybody sees who may see the job: take the name of a "
                f"secret or of a file instead, as {name}_file",
            )


def _rules(parameter: Any, known: dict[str, Any]) -> Iterator[tuple[str, str]]:
    default, options = parameter.default_value, [each.value for each in parameter.enum_options]
    for regex in parameter.regexes:
        try:
            whole = re.compile(f"(?:{regex.removeprefix('^').removesuffix('$')})")
        except re.error as wrong:
            yield "regex", f"has a regular expression that is none: {regex} ({wrong})"
            continue
        if default and not whole.fullmatch(default):
            yield "default", f"has a default that its own regular expression {regex} refuses"
        for option in options:
            if not whole.fullmatch(option):
                yield "regex", f"offers '{option}', which its own regular expression {regex} refuses"
    if parameter.param_type == _type("ENUM") and not options:
        yield "enum", "is an ENUM without enumOptions"
    if options and default and default not in options:
        yield "default", f"has a default that is none of its enumOptions.{did_you_mean(default, options)}"
    if default and not parameter.is_optional:
        yield "default", "is required and has a default: make it optional, or leave the default out"
    if parameter.parent_name and parameter.parent_name not in known:
        yield "parent", f"has a parent that is no parameter, {parameter.parent_name}."
    elif parameter.parent_name:
        offered = [each.value for each in known[parameter.parent_name].enum_options]
        for value in parameter.parent_trigger_values:
            if offered and value not in offered:
                yield "parent", f"appears for a value that {parameter.parent_name} can't have, '{value}'"


def _type(name: str) -> int:
    from google.cloud import dataflow_v1beta3 as dataflow

    return int(dataflow.ParameterType[name])
