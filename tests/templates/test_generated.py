"""What is generated from the options is what is committed, and says what the options say."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from google.cloud import dataflow_v1beta3 as dataflow
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.cli import main
from beam_pipelines.options import PARAM_TYPES, examine, specs
from beam_pipelines.options.json_schema import json_schema
from beam_pipelines.pipelines import entries, find
from beam_pipelines.templates import build
from beam_pipelines.templates.container_spec import read_metadata, read_spec
from beam_pipelines.templates.metadata import metadata, regex
from scripts import generated
from tests.templates.clicks import ClickOptions

CLICKS = find("tests.templates.clicks")
IMAGE = "europe-west1-docker.pkg.dev/shop/templates/clicks:1.0"
SPECS = {spec.name: spec for spec in specs(ClickOptions)}
WORDS = (
    "json avro json,avro xml append upsert 1 -3 1,2 1.5 1e3 .5 inf 1_0 true No TRUE maybe a a,b , projects/p/topics/t"
)
TEXTS = st.sampled_from(["", " json , ", "t\n", "1\n", *WORDS.split()])


def _parameters() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in metadata(CLICKS)["parameters"]}


@pytest.mark.parametrize("path", sorted(generated.expected()), ids=lambda path: str(path.relative_to(generated.ROOT)))
def test_what_is_committed_is_what_the_options_say(path: Path) -> None:
    assert path.read_text("utf-8") == generated.expected()[path], "run `python -m scripts.generated`"


def test_the_types_of_parameters_are_googles() -> None:
    assert {each.name for each in dataflow.ParameterType} - {"DEFAULT"} == PARAM_TYPES


@pytest.mark.parametrize("entry", [*entries(), CLICKS], ids=lambda entry: entry.name)
def test_every_option_is_a_parameter_and_nothing_else_is(entry: Any) -> None:
    spec = read_spec(build.template_files(entry, IMAGE)["container_spec.json"], "spec")
    found = {each.name: each for each in spec.metadata.parameters}
    assert list(found) == [each.name for each in specs(entry.options)]
    for each in specs(entry.options):
        parameter = found[each.name]
        assert parameter.help_text.startswith(each.help)
        assert parameter.is_optional is not each.required
        assert dataflow.ParameterType(parameter.param_type).name == each.param_type
        assert parameter.default_value == (each.default_text or "")
        assert [option.value for option in parameter.enum_options] == ([] if each.many else list(each.choices))
        assert parameter.parent_name == (each.requires.name if each.requires else "")
        assert bool(parameter.group_name) != bool(parameter.parent_name)


def test_a_conditional_parameter_names_its_parent_and_its_values() -> None:
    found = _parameters()
    assert (found["key"]["parentName"], found["key"]["parentTriggerValues"]) == ("mode", ["upsert"])
    assert found["burst"]["parentName"] == "rate"
    assert "parentTriggerValues" not in found["burst"]


def test_choices_are_enum_options_with_what_they_mean() -> None:
    assert _parameters()["mode"]["enumOptions"] == [
        {"value": "append", "label": "append", "description": "each row is new"},
        {"value": "upsert", "label": "upsert", "description": "a row replaces the one of its key"},
    ]


def test_a_stream_says_its_guarantees() -> None:
    spec = read_spec(build.template_files(CLICKS, IMAGE)["container_spec.json"], "spec")
    about = spec.metadata
    assert (about.streaming, about.supports_exactly_once, about.supports_at_least_once) == (True, True, True)
    assert about.default_streaming_mode == "EXACTLY_ONCE"
    assert spec.default_environment.enable_streaming_engine
    assert not read_metadata(json.dumps(metadata(find("event_analytics"))), "m").streaming


def test_workers_run_the_launchers_image() -> None:
    spec = read_spec(build.template_files(CLICKS, IMAGE)["container_spec.json"], "spec")
    assert spec.image == spec.default_environment.sdk_container_image == IMAGE
    assert dataflow.SDKInfo.Language(spec.sdk_info.language).name == "PYTHON"


@given(name=st.sampled_from(sorted(SPECS)), text=TEXTS)
def test_a_regular_expression_refuses_nothing_that_the_pipeline_takes(name: str, text: str) -> None:
    spec = SPECS[name]
    pattern = regex(spec)
    given = {"topic": "projects/p/topics/t", "mode": "upsert", "rate": "1"} | {name: text}
    wrong = [line for line in examine(ClickOptions, given)[1] if line.startswith((f"--{name}:", f"--{name} is"))]
    if pattern is not None and not wrong:
        assert re.search(pattern, text), (pattern, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [("topic", "t"), ("topic", ""), ("formats", "xml"), ("ports", "a"), ("rate", "fast"), ("compress", "maybe")],
)
def test_a_regular_expression_refuses_what_is_wrong(name: str, text: str) -> None:
    assert not re.search(str(regex(SPECS[name])), text)


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "topic": st.sampled_from(["projects/p/topics/t", "t", ""]),
        "formats": st.lists(st.sampled_from(["json", "avro", "xml"]), max_size=2),
        "mode": st.sampled_from(["append", "upsert", "replace"]),
        "key": st.lists(st.just("id"), max_size=1),
        "ports": st.lists(st.sampled_from([1, "x"]), max_size=2),
        "rate": st.sampled_from([1, 0.5, "fast"]),
        "burst": st.sampled_from([10, 20, 1.5]),
        "compress": st.booleans(),
        "spare": st.just(1),
    },
)


@given(VALUES)
def test_the_json_schema_takes_what_the_options_take(values: dict[str, Any]) -> None:
    schema = json_schema(ClickOptions)
    valid = jsonschema.Draft202012Validator(schema).is_valid(values)
    assert valid is (examine(ClickOptions, values)[1] == []), values


def test_the_json_schema_is_one() -> None:
    for entry in entries():
        jsonschema.Draft202012Validator.check_schema(json_schema(entry.options))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_the_commands_of_the_readme_have_parameters_that_are_right(entry: Any) -> None:
    page = build.template_files(entry, IMAGE)["README.md"]
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    (gcloud,) = [shlex.split(block) for block in blocks if "gcloud dataflow flex-template run" in block]
    (packed,) = [word.removeprefix("--parameters=^~^") for word in gcloud if word.startswith("--parameters=")]
    by_gcloud = dict(pair.split("=", 1) for pair in packed.split("~"))
    (ours,) = [shlex.split(block) for block in blocks if "beam-pipelines launch" in block]
    by_ours = dict(ours[place + 1].split("=", 1) for place, word in enumerate(ours) if word == "--parameters")
    assert by_gcloud == by_ours
    assert examine(entry.options, by_ours)[1] == []
    assert {spec.name for spec in specs(entry.options) if spec.required} <= set(by_ours)


def test_building_twice_gives_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a", "b"):
        asked = ["template", "build", "event_analytics", "--image", IMAGE, "--output_dir", str(tmp_path / folder)]
        assert main(asked) == 0
    printed = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert sorted(printed[:4]) == ["Dockerfile", "README.md", "container_spec.json", "metadata.json"]
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        ("europe-docker.pkg.dev/Shop/t:1", "is not the name of an image"),
        ("x/y:", "is not the name of an image"),
        ("europe-docker.pkg.dev/shop/t", "may be another image tomorrow"),
        ("europe-docker.pkg.dev/shop/t:latest", "may be another image tomorrow"),
    ],
)
def test_an_image_that_names_no_version_is_refused(
    image: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["template", "build", "event_analytics", "--image", image, "--output_dir", str(tmp_path / "t")]
    assert main(asked) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


def test_an_image_may_be_named_by_its_digest() -> None:
    build.check_image(f"localhost:5000/shop/t@sha256:{'0' * 64}")


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t").touch()
    asked = ["template", "build", "event_analytics", "--image", IMAGE, "--output_dir", str(tmp_path / "t")]
    assert main(asked) == 2
    assert "is a file; name a folder" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", "", "{", '{"image": 3}', '{"imagee": "x"}', '{"metadata": {"helptext": "x"}}'])
def test_what_is_no_container_spec_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"here is not a"):
        read_spec(text, "here")
