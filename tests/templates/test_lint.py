"""Template folders as somebody else would write them, with one thing wrong in each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, Repeatedly
from apache_beam.transforms.window import FixedWindows, GlobalWindows

from beam_pipelines.launch.cli import main
from beam_pipelines.options import option
from beam_pipelines.pipelines import entries, find
from beam_pipelines.templates.build import template_files
from beam_pipelines.templates.container_spec import as_file
from beam_pipelines.templates.lint.graph_rules import unfinished
from beam_pipelines.templates.lint.lint import lint_folder, lint_pipeline
from beam_pipelines.templates.metadata import metadata

SPEC: dict[str, Any] = {
    "image": "europe-west1-docker.pkg.dev/shop/templates/counts:1.4",
    "sdkInfo": {"language": "PYTHON", "version": "2.77.0"},
    "metadata": {
        "name": "Counts",
        "description": "Counts clicks.",
        "streaming": True,
        "parameters": [
            {"name": "subscription", "label": "Subscription", "helpText": "Where clicks come from."},
            {
                "name": "mode",
                "label": "Mode",
                "helpText": "How to count.",
                "isOptional": True,
                "paramType": "ENUM",
                "enumOptions": [{"value": "fast"}, {"value": "exact"}],
                "defaultValue": "fast",
            },
            {
                "name": "size",
                "label": "Size",
                "helpText": "Seconds of a window.",
                "isOptional": True,
                "regexes": ["^[0-9]+$"],
                "defaultValue": "60",
                "parentName": "mode",
                "parentTriggerValues": ["fast"],
            },
        ],
    },
}
DOCKERFILE = """\
FROM gcr.io/dataflow-templates-base/python311-template-launcher-base:20230622_RC00 AS launcher
FROM apache/beam_python3.11_sdk:2.77.0
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY main.py requirements.txt /template/
RUN pip install --no-cache-dir --requirement /template/requirements.txt
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/main.py
"""
MAIN = """\
import argparse
import apache_beam as beam
from apache_beam.transforms.window import FixedWindows, GlobalWindows

def run(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--mode", choices=["fast", "exact"], default="fast")
    parser.add_argument("--size", type=int, default=60)
    known, rest = parser.parse_known_args(argv)
    with beam.Pipeline(argv=rest) as pipeline:
        clicks = pipeline | beam.io.ReadFromPubSub(subscription=known.subscription)
        counts = clicks | beam.WindowInto(FixedWindows(known.size)) | beam.combiners.Count.PerElement()
        counts | beam.Map(str) | beam.io.WriteToBigQuery("shop.counts")
"""
FILES = {
    "metadata.json": json.dumps(SPEC["metadata"]),
    "spec.json": json.dumps(SPEC),
    "Dockerfile": DOCKERFILE,
    "main.py": MAIN,
    "requirements.txt": "apache-beam[gcp]==2.77.0\n",
    "notes.json": "[1, 2]",
}


def _folder(at: Path, **changes: Callable[[str], str]) -> Path:
    for name, text in FILES.items():
        change = changes.get(name.partition(".")[0], str)
        (at / name).write_text(change(text))
    return at


def _parameter(place: int, **facts: Any) -> Callable[[str], str]:
    def change(text: str) -> str:
        about = json.loads(text)
        (about.get("metadata") or about)["parameters"][place] |= facts
        return json.dumps(about)

    return change


def test_a_folder_with_nothing_wrong_in_it_is_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint_folder(_folder(tmp_path)) == []
    assert main(["template", "lint", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: ok\n"


def _swap(before: str, after: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert before in text
        return text.replace(before, after)

    return change


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("metadata", lambda _: "{", "metadata.json: error: is not a TemplateMetadata of Dataflow"),
        ("metadata", _swap('"helpText"', '"helpTxt"'), 'no field named "helpTxt" at "TemplateMetadata.parameters[0]"'),
        ("metadata", _parameter(0, helpText=" "), "parameter subscription has no helpText: say what it does [no-help]"),
        ("metadata", _parameter(0, helpText="Subscription."), "its helpText only repeats its name"),
        ("metadata", _parameter(0, label=""), "warning: parameter subscription has no label"),
        ("metadata", _parameter(1, name="subscription"), "parameter subscription is described twice"),
        ("metadata", _parameter(2, regexes=["[0-9"]), "has a regular expression that is none: [0-9"),
        (
            "metadata",
            _parameter(2, defaultValue="1m"),
            "has a default that its own regular expression ^[0-9]+$ refuses",
        ),
        ("metadata", _parameter(2, parentName="mod"), "has a parent that is no parameter, mod"),
        ("metadata", _parameter(2, parentTriggerValues=["slow"]), "a value that mode can't have, 'slow'"),
        ("metadata", _parameter(1, enumOptions=[]), "parameter mode is an ENUM without enumOptions"),
        ("metadata", _parameter(1, defaultValue="fas"), "none of its enumOptions. Did you mean 'fast'?"),
        ("metadata", _parameter(1, isOptional=False), "is required and has a default"),
        ("metadata", _parameter(0, name="password"), "parameter password would hold a secret"),
        ("metadata", _parameter(0, name="topic"), "parameter topic is no option of the program [drift]"),
        ("metadata", _parameter(0, isOptional=True), "is optional, but the program requires it [drift]"),
        ("metadata", _parameter(2, defaultValue="30"), "the default of parameter size is '30', the program's is '60'"),
        (
            "metadata",
            _parameter(1, enumOptions=[{"value": "fast"}]),
            "parameter mode and the program (main.py:8) differ",
        ),
        ("main", _swap('"--size"', '"--seconds"'), "--seconds is no parameter in metadata.json: nobody can set it"),
        (
            "main",
            _swap('"--subscription"', '"--topic"'),
            "main.py:7: error: --topic is required by the program, and no",
        ),
        ("main", _swap("FixedWindows(known.size)", "GlobalWindows()"), "goes into the global window without a trigger"),
        ("main", _swap("beam.WindowInto(FixedWindows(known.size)) | ", ""), "PerElement of a stream (ReadFromPubSub"),
        ("main", _swap('BigQuery("shop.counts"', 'PubSub("t"'), "WriteToPubSub without id_label: a bundle that is"),
        ("main", _swap('"shop.counts"', '"c", ignore_insert_ids=True'), "with ignore_insert_ids"),
        ("main", _swap('"shop.counts"', '"c", use_at_least_once=True'), "with use_at_least_once"),
        ("main", _swap("beam.io.WriteToBigQuery(", "WriteToKafka("), "WriteToKafka is at least once"),
        ("main", _swap("beam.io.WriteToBigQuery(", "WriteToJdbc("), "WriteToJdbc that only inserts"),
        ("main", _swap("def run", "def run("), "main.py:5: error: is no Python"),
        ("main", _swap("import argparse", "KEY = 'AKIAABCDEFGHIJKLMNOP'"), "main.py: error: holds a key in clear"),
        (
            "Dockerfile",
            _swap("ENV FLEX_TEMPLATE_PYTHON_PY_FILE", "ENV PROGRAM"),
            "sets no FLEX_TEMPLATE_PYTHON_PY_FILE",
        ),
        ("Dockerfile", _swap("PY_FILE=/template/main.py", "PY_FILE=/template/run.py"), "which isn't among these files"),
        ("Dockerfile", lambda text: text + "ENV API_TOKEN=abc\n", "sets API_TOKEN to a value: whoever may pull"),
        (
            "Dockerfile",
            lambda text: text + "ENV FLEX_TEMPLATE_PYTHON_REQUIREMENTS_FILE=/template/requirements.txt\n",
            "makes each launch and each worker install packages",
        ),
        ("Dockerfile", lambda text: text + "RUN pip install pandas\n", "installs pandas in whatever version is newest"),
        ("Dockerfile", _swap("sdk:2.77.0", "sdk:2.70.0"), "different versions of Beam: 2.70.0 in Dockerfile, 2.77.0"),
        ("requirements", _swap("2.77.0", "2.76.0"), "different versions of Beam"),
        ("spec", _swap("counts:1.4", "counts:latest"), "may be another image tomorrow"),
        (
            "spec",
            lambda text: json.dumps(json.loads(text) | {"defaultEnvironment": {"sdkContainerImage": "x:1"}}),
            "workers run x:1, the launcher",
        ),
    ],
)
def test_what_is_wrong_is_found(file: str, change: Callable[[str], str], told: str, tmp_path: Path) -> None:
    found = lint_folder(_folder(tmp_path, **{file: change}))
    assert told in "\n".join(map(str, found))
    assert len(found) <= 4, "one mistake, few findings"


def test_errors_fail_the_command_and_warnings_only_when_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _folder(tmp_path, metadata=_parameter(0, label=""))
    assert main(["template", "lint", str(tmp_path)]) == 0
    assert main(["template", "lint", str(tmp_path), "--strict"]) == 2
    assert "parameter subscription has no label" in capsys.readouterr().out
    _folder(tmp_path, metadata=_parameter(0, helpText=""))
    assert main(["template", "lint", str(tmp_path)]) == 2


def test_a_template_of_ours_that_is_out_of_date_is_told_by_field(tmp_path: Path) -> None:
    about = metadata(find("event_analytics"))
    assert lint_folder(_written(tmp_path, about)) == []
    first, *rest = about["parameters"]
    old = about | {"parameters": [*rest[1:], first | {"helpText": "Old help."}, first | {"name": "gone"}]}
    told = "\n".join(map(str, lint_folder(_written(tmp_path, old))))
    assert f"parameter {first['name']} is not what the option says in helpText: build the template again" in told
    assert "parameter gone is no option of event_analytics any more" in told
    assert f"the option {rest[0]['name']} of event_analytics is no parameter" in told


def _written(at: Path, about: dict[str, Any]) -> Path:
    (at / "metadata.json").write_text(as_file(about))
    return at


@pytest.mark.parametrize("name", ["nowhere/at/all", "event_analytic"])
def test_what_is_not_there_is_told(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["template", "lint", name]) == 2
    assert f"'{name}'" in capsys.readouterr().err


def test_a_folder_without_a_template_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "picture.png").touch()
    assert main(["template", "lint", str(tmp_path)]) == 2
    assert "holds no template" in capsys.readouterr().err


@dataclasses.dataclass(frozen=True)
class Careless:
    password: str = option("Who knows it may write.")


def test_a_secret_among_a_pipelines_options_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = find("tests.templates.clicks")
    monkeypatch.setattr(type(entry), "options", Careless)
    (finding,) = lint_pipeline(entry)
    assert finding.rule == "secret"
    assert "take the name of a secret or of a file instead, as password_file" in finding.message


def _graph(window: Any, **how: Any) -> Any:
    options = PipelineOptions()
    options.view_as(TypeOptions).allow_unsafe_triggers = True
    pipeline = beam.Pipeline(options=options)
    ticks = pipeline | PeriodicImpulse(fire_interval=1) | beam.WindowInto(window, **how)
    _ = ticks | beam.Map(lambda tick: (0, tick)) | "Group" >> beam.GroupByKey()
    return pipeline.to_runner_api()


def test_a_graph_that_never_finishes_a_group_is_found() -> None:
    assert any("Group" in step for step in unfinished(_graph(GlobalWindows())))
    assert not any("Group" in step for step in unfinished(_graph(FixedWindows(60))))
    fires = {"trigger": Repeatedly(AfterCount(5)), "accumulation_mode": AccumulationMode.DISCARDING}
    assert not any("Group" in step for step in unfinished(_graph(GlobalWindows(), **fires)))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_our_own_pipelines_have_nothing_wrong_in_them(entry: Any, tmp_path: Path) -> None:
    assert [finding for finding in lint_pipeline(entry) if finding.rule != "drift"] == []
    for name, text in template_files(entry, "europe-west1-docker.pkg.dev/shop/templates/t:1").items():
        (tmp_path / name).write_text(text)
    assert lint_folder(tmp_path) == []
