"""Which new graphs a running stream can be replaced by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import StrUtf8Coder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer

from beam_pipelines.launch.dataflow.compatibility import differences


class Remember(beam.DoFn):
    SEEN = BagStateSpec("seen", VarIntCoder())
    DONE = TimerSpec("done", TimeDomain.WATERMARK)

    def process(self, pair, seen=beam.DoFn.StateParam(SEEN), done=beam.DoFn.TimerParam(DONE)):  # noqa: B008
        seen.add(pair[1])
        yield pair

    @on_timer(DONE)
    def finish(self):
        return []


class RememberText(beam.DoFn):
    SEEN = BagStateSpec("seen", StrUtf8Coder())

    def process(self, pair, seen=beam.DoFn.StateParam(SEEN)):  # noqa: B008
        yield pair


class Tidy(beam.PTransform):
    """A composite with a step in it."""

    def expand(self, numbers):
        return numbers | "Double" >> beam.Map(lambda number: 2 * number).with_output_types(int)


def _graph(
    *, tidy: str = "Tidy", remember: beam.DoFn | None = None, sides: int = 0, group: bool = True, log: bool = False
) -> Any:
    pipeline = beam.Pipeline()
    numbers = pipeline | "Numbers" >> beam.Create([1, 2]) | tidy >> Tidy()
    if log:
        numbers = numbers | "Log" >> beam.Map(lambda number: number).with_output_types(int)
    more = [pipeline | f"Side{n}" >> beam.Create([n]) for n in range(sides)]
    pairs = numbers | "Pair" >> beam.Map(
        lambda number, *_: ("a", number), *[beam.pvalue.AsList(each) for each in more]
    ).with_output_types(tuple[str, int])
    known = pairs | "Remember" >> beam.ParDo(remember or Remember()).with_output_types(tuple[str, int])
    _ = known | "Group" >> (
        beam.GroupByKey() if group else beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
    )
    return pipeline.to_runner_api()


def test_the_same_graph_made_again_fits() -> None:
    assert differences(_graph(), _graph(), {}) == []


def test_steps_may_be_added() -> None:
    assert differences(_graph(), _graph(log=True), {}) == []


@pytest.mark.parametrize(
    ("new", "mapping", "told"),
    [
        (lambda: _graph(tidy="Clean"), {}, "the step 'Tidy/Double' is gone. Did you mean 'Clean/Double'?"),
        (lambda: _graph(tidy="Clean"), {"Tidy": "Cleen"}, "the step 'Tidy/Double' is gone."),
        (_graph, {"Tidi": "Clean"}, "the running job has no step 'Tidi'. Did you mean 'Tidy'?"),
        (lambda: _graph(group=False), {}, "the step 'Group': was a group_by_key, and is a pardo now"),
        (lambda: _graph(sides=1), {}, "the step 'Pair': its side inputs changed: 0 before, 1 now"),
        (
            lambda: _graph(remember=RememberText()),
            {},
            "the step 'Remember': its state 'seen' has another type or coder",
        ),
        (lambda: _graph(remember=RememberText()), {}, "the step 'Remember': its timer"),
        (lambda: _graph(remember=beam.DoFn()), {}, "the step 'Remember': its state 'seen' is gone"),
    ],
)
def test_what_the_state_could_not_be_taken_over_by_is_told(
    new: Callable[[], Any], mapping: dict[str, str], told: str
) -> None:
    assert told in "\n".join(differences(_graph(), new(), mapping))


@pytest.mark.parametrize("mapping", [{"Tidy": "Clean"}, {"Tidy/Double": "Clean/Double"}, {"Tidy": ""}])
def test_a_renamed_or_dropped_step_is_found_by_its_mapping(mapping: dict[str, str]) -> None:
    assert differences(_graph(), _graph(tidy="Clean"), mapping) == []
