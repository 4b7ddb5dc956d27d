"""Our reading of the standard's JSON schema agrees with the jsonschema package's."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.contract.findings import Report
from beam_pipelines.contract.odcs import standard
from beam_pipelines.contract.odcs.yaml_tree import Node, read_tree

FILES = Path(__file__).parent / "files"

# Where we are more lenient on purpose: a plain scalar is a text, as in `version: 1.0`.
_LENIENT = jsonschema.Draft201909Validator.TYPE_CHECKER.redefine(
    "string", lambda _, value: isinstance(value, str | int | float)
)
ORACLE = jsonschema.validators.extend(jsonschema.Draft201909Validator, type_checker=_LENIENT)(standard.schema())

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


def sample(name: str) -> Any:
    report = Report()
    root = read_tree((FILES / name).read_text().replace("required: yes", "required: true"), report)
    assert root is not None
    return root.data


SAMPLES = [sample(path.name) for path in sorted(FILES.glob("*.yaml"))]
for document in SAMPLES:
    document["servers"] = [{"server": "s", "type": "kafka", "host": "h:9092", "format": "avro"}]
    first = document["schema"][0]["properties"][0]
    first["quality"] = [{"type": "library", "metric": "nullValues", "mustBe": 0}]
    first["relationships"] = [{"to": "other.id"}]
    document["schema"][0]["properties"].append(
        {"name": "m", "logicalType": "map", "map": {"key": {"logicalType": "string"}, "value": {"logicalType": "date"}}}
    )


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


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in steps:
        found += places(child, (*path, step))
    return found


ODDITIES = st.sampled_from(
    [
        [],
        {},
        "x",
        "",
        -1,
        0,
        2.5,
        True,
        "yes",
        ["a"],
        {"a": 1},
        [{}],
        "string",
        "v3.1.0",
        "library",
        "kafka",
        "timestamp",
    ]
)


@settings(max_examples=120)
@given(st.data())
def test_mutilated_contracts_are_judged_alike(data: st.DataObject) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(places(document)))
        target = document
        for step in parents:
            target = target[step]
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del target[last]
        elif action == "add" and isinstance(target, dict):
            target[data.draw(st.sampled_from(["nmae", "type", "format", "minimum", "items", "from", "metric"]))] = (
                data.draw(ODDITIES)
            )
        else:
            target[last] = data.draw(ODDITIES)
    ours = standard.violations(tree(document))
    assert bool(ours) is not ORACLE.is_valid(document), ours
