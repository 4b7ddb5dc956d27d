"""Our reading of the standard's JSON schema agrees with the jsonschema package's."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from beam_pipelines.contract.findings import Report
from beam_pipelines.contract.odcs import standard
from beam_pipelines.contract.odcs.yaml_tree import Node, read_tree
from tests.contract.mutilated import SAMPLES, mutilated

# Where we are more lenient on purpose: a plain scalar is a text, as in `version: 1.0`.
_LENIENT = jsonschema.Draft201909Validator.TYPE_CHECKER.redefine(
    "string", lambda _, value: isinstance(value, str | int | float)
)


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Any:
    text = str(value) if isinstance(value, int | float) else value
    yield from jsonschema.Draft201909Validator.VALIDATORS["pattern"](validator, pattern, text, schema)


ORACLE = jsonschema.validators.extend(jsonschema.Draft201909Validator, {"pattern": _pattern}, type_checker=_LENIENT)(
    standard.schema()
)

# Keywords that the walk reads, or that say nothing of what is valid.
READ = {
    *("$ref", "type", "enum", "const", "pattern", "minimum", "exclusiveMinimum", "minItems", "maxItems"),
    *("uniqueItems", "items", "required", "properties", "additionalProperties", "unevaluatedProperties"),
    *("allOf", "anyOf", "oneOf", "not", "if", "then"),
    *("$schema", "$defs", "title", "description", "default", "examples", "format", "deprecated"),
}


def tree(document: Any) -> Node:
    report = Report()
    root = read_tree(json.dumps(document), report)
    assert root is not None, report.findings
    return root


def test_the_schema_uses_only_what_is_read() -> None:
    unknown: set[str] = set()
    waiting: list[Any] = [standard.schema()]
    while waiting:
        rule = waiting.pop()
        unknown |= rule.keys() - READ
        named = [rule.get("properties", {}), rule.get("$defs", {})]
        for each in named:
            for name, part in each.items():
                waiting += part.values() if name == "ServerSource" else [part]
        waiting += [rule[key] for key in ("items", "not", "if", "then") if key in rule]
        waiting += [part for key in ("allOf", "anyOf", "oneOf") for part in rule.get(key, [])]
        assert rule.get("additionalProperties", False) is False
        assert rule.get("unevaluatedProperties", False) is False
    assert not unknown


@pytest.mark.parametrize("document", SAMPLES, ids=lambda each: str(each["id"]))
def test_the_samples_fit(document: Any) -> None:
    assert standard.violations(tree(document)) == []
    ORACLE.validate(document)


@settings(max_examples=120)
@given(mutilated(SAMPLES))
def test_mutilated_contracts_are_judged_alike(document: Any) -> None:
    ours = standard.violations(tree(document))
    assert bool(ours) is not ORACLE.is_valid(document), ours
