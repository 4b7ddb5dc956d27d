"""Contracts with something in them broken at random."""

import copy
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from beam_pipelines.contract.findings import Report
from beam_pipelines.contract.odcs.yaml_tree import read_tree

FILES = Path(__file__).parent / "files"


def sample(name: str) -> Any:
    report = Report()
    root = read_tree((FILES / name).read_text().replace("required: yes", "required: true"), report)
    assert root is not None
    return root.data


PLAIN: list[Any] = [sample(f"{name}.odcs.yaml") for name in ("clickstream", "order_lines", "payments")]
"""Contracts that can be run."""


def _with_all_sorts(document: Any) -> Any:
    document = copy.deepcopy(document)
    document["servers"] = [{"server": "s", "type": "kafka", "host": "h:9092", "format": "avro"}]
    properties = document["schema"][0]["properties"]
    properties[0]["quality"] = [{"type": "library", "metric": "nullValues", "mustBe": 0}]
    properties[0]["relationships"] = [{"to": "other.id"}]
    properties.append(
        {"name": "m", "logicalType": "map", "map": {"key": {"logicalType": "string"}, "value": {"logicalType": "date"}}}
    )
    return document


SAMPLES = [_with_all_sorts(document) for document in [*PLAIN, sample("shop.odcs.yaml")]]
"""Contracts with parts of many kinds, all of them right by the standard."""


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


NAMES = st.sampled_from(
    ["nmae", "type", "format", "minimum", "maximum", "items", "from", "metric", "enum", "pattern", "mask", "primaryKey"]
)


@st.composite
def mutilated(draw: st.DrawFn, samples: list[Any]) -> Any:
    """A sample in which one to three values are replaced, removed or added."""
    document = copy.deepcopy(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(places(document)))
        target = document
        for step in parents:
            target = target[step]
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del target[last]
        elif action == "add" and isinstance(target, dict):
            target[draw(NAMES)] = copy.deepcopy(draw(ODDITIES))
        else:
            target[last] = copy.deepcopy(draw(ODDITIES))
    return document
