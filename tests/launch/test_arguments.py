"""Which of the words after `run PIPELINE` are the pipeline's, which are Beam's, which are the runner's."""

from __future__ import annotations

import dataclasses

import pytest

from beam_pipelines import options, pipelines
from beam_pipelines.launch import arguments
from beam_pipelines.options import option
from beam_pipelines.pipelines import PipelineEntry


@dataclasses.dataclass(frozen=True)
class ShopOptions:
    input: tuple[str, ...] = option("Files.")
    strict: bool = option("Whether to be strict.", default=False)
    delimiter: str = option("50% of all files have another.", default=",")


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> PipelineEntry:
    monkeypatch.setattr(PipelineEntry, "options", ShopOptions)
    monkeypatch.setattr(PipelineEntry, "description", "A shop.")
    return PipelineEntry("shop", "nowhere")


def _read(entry: PipelineEntry, *argv: str) -> arguments.Request:
    return arguments.read(entry, argv, "")


def test_beams_options_are_left_as_they_stand(shop: PipelineEntry) -> None:
    flags = ["--runner", "FlinkRunner", "--streaming", "--experiments=a,b", "--parallelism", "2"]
    request = _read(shop, "--input=a", *flags[:3], "--strict", *flags[3:])
    assert request == arguments.Request(ShopOptions(input=("a",), strict=True), flags, False)


@pytest.mark.parametrize(
    ("argv", "strict"),
    [
        (["--strict"], True),
        (["--strict=false"], False),
        (["--strict", "no"], False),
        (["--strict=TRUE"], True),
        ([], False),
    ],
)
def test_a_flag_may_have_a_value(argv: list[str], strict: bool, shop: PipelineEntry) -> None:
    assert _read(shop, "--input", "a", *argv).options.strict is strict


def test_both_ways_of_writing_a_value_and_repeating_it(shop: PipelineEntry) -> None:
    assert _read(shop, "--input", "a", "--input=b,c").options.input == ("a", "b", "c")


def test_a_value_may_begin_with_a_dash(shop: PipelineEntry) -> None:
    assert _read(shop, "--input=-a", "--delimiter=-").options == ShopOptions(input=("-a",), delimiter="-")


def test_what_stands_after_two_dashes_is_not_looked_at(shop: PipelineEntry) -> None:
    request = _read(shop, "--input=a", "--streaming", "--", "--runners_own", "--input=b")
    assert request.options.input == ("a",)
    assert request.beam_flags == ["--streaming", "--runners_own", "--input=b"]


def test_verbose_is_the_launchers_own(shop: PipelineEntry) -> None:
    assert _read(shop, "--verbose", "--input=a") == arguments.Request(ShopOptions(input=("a",)), [], True)


def test_help_shows_defaults_and_survives_a_percent_sign(shop: PipelineEntry) -> None:
    text = " ".join(arguments.pipeline_parser(shop, "").format_help().split())
    assert "50% of all files have another. Default: ','." in text
    assert "Whether to be strict. Default: false." in text


def test_no_option_of_a_pipeline_is_also_one_of_beams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    beams = {flag for action in arguments.beam_parser()._actions for flag in action.option_strings}
    for entry in pipelines.entries():
        assert not beams & {spec.flag for spec in options.specs(entry.options)}
