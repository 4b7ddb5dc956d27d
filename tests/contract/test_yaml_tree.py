"""YAML with its lines, and nothing in it that could do harm."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.contract.findings import Report
from beam_pipelines.contract.odcs import yaml_tree
from beam_pipelines.contract.odcs.yaml_tree import Node, read_tree

# YAML takes no control characters, and folds the line ends of other scripts.
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co", "Zl", "Zp"], exclude_characters="\ufeff")
TEXTS = st.text(CHARACTERS, max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
DOCUMENTS = st.dictionaries(
    TEXTS,
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)),
    max_size=5,
)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None or key == "value"}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def read(text: str) -> Node:
    report = Report()
    root = read_tree(text, report)
    assert root is not None, report.findings
    return root


@settings(max_examples=60)
@given(DOCUMENTS)
def test_what_a_yaml_library_writes_quoted_is_read_as_it_was(document: dict[str, Any]) -> None:
    text = yaml.safe_dump(document, default_style='"', allow_unicode=True)
    strings = yaml.load(text, yaml.BaseLoader)
    plain = read(yaml.safe_dump(strings, default_style="'", allow_unicode=True)).data
    assert plain == strings


@settings(max_examples=60)
@given(DOCUMENTS)
def test_json_is_read_as_json(document: dict[str, Any]) -> None:
    assert read(json.dumps(document, ensure_ascii=False)).data == without_nulls(document)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"),
        ("012", 12),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("~", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("1" * 500, "1" * 500),
    ],
)
def test_plain_scalars_follow_yaml_1_2(written: str, value: object) -> None:
    assert read(f"a: {written}").value["a"].value == value


def test_lines_and_paths() -> None:
    root = read("a:\n  - name: x\n    b: 1\n\n  - c:\n      d: 2\n")
    assert root.line_of("a") == 1
    assert [item.line for item in root.value["a"].items] == [2, 5]
    assert root.value["a"].items[1].line_of("c", "d") == 6
    assert root.value["a"].items[1].line_of("c", "nothing") == 5
    assert root.value["a"].items[0].value["b"].path == ("a", "[x]", "b")
    assert root.value["a"].items[1].value["c"].path == ("a", "[1]", "c")


def test_without_libyaml_it_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_tree, "_LOADER", yaml.SafeLoader)
    assert read("a: &x {b: [1, 'two']}\nc: *x").data == {"a": {"b": [1, "two"]}, "c": {"b": [1, "two"]}}
    report = Report()
    assert read_tree("a: \x07", report) is None
    assert "U+0007" in report.findings[0].message


@given(st.text())
def test_no_text_makes_it_raise(text: str) -> None:
    report = Report()
    assert read_tree(text, report) is not None or report.errors
