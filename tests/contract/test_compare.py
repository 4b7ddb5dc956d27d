"""What a new version of a contract breaks: told for each change, and never less than what rows show."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_pipelines.contract import Contract, Field, Mask, QualityRule, to_odcs
from beam_pipelines.contract.compare import breaking, compare
from beam_pipelines.contract.samples import Sample
from beam_pipelines.launch.cli import main
from tests.contract.test_samples import judged

A = Field("a", pa.int64(), minimum=0, maximum=10)
TEXT = Field("t", pa.string(), enum=("x", "y"), max_length=3)
OLD = Contract("c", (A, TEXT))


def changed(**rules: Any) -> tuple[Field, ...]:
    return (dataclasses.replace(A, **rules), TEXT)


@pytest.mark.parametrize(
    ("new", "broken"),
    [
        (changed(maximum=11), {"forward"}),
        (changed(maximum=9), {"backward"}),
        (changed(minimum=None), {"forward"}),
        (changed(required=True), {"backward"}),
        (changed(type=pa.int32()), {"backward"}),
        (changed(type=pa.decimal128(21, 2)), {"forward"}),
        (changed(type=pa.decimal128(10, 2)), {"backward", "forward"}),
        (changed(multiple_of=2), {"backward"}),
        (changed(unique=True), {"backward"}),
        (changed(on_failure="warn"), {"forward"}),
        (changed(physical_name="b"), {"backward", "forward"}),
        (changed(primary_key_position=1), {"backward", "forward"}),
        (changed(mask=Mask("redact")), set()),
        (changed(description="other words"), set()),
        ((A, dataclasses.replace(TEXT, enum=("x", "y", "z"))), {"forward"}),
        ((A, dataclasses.replace(TEXT, enum=("x",))), {"backward"}),
        ((A, dataclasses.replace(TEXT, enum=("x", "z"))), {"backward", "forward"}),
        ((A, dataclasses.replace(TEXT, pattern=".")), {"backward"}),
        ((A,), set()),
        ((A, TEXT, Field("n", pa.int64())), set()),
        ((A, TEXT, Field("n", pa.int64(), required=True)), {"backward"}),
    ],
)
def test_each_change_is_told_with_what_it_breaks(new: tuple[Field, ...], broken: set[str]) -> None:
    changes = compare(OLD, Contract("c", new))
    assert {word for word in ("backward", "forward") if any(getattr(change, word) for change in changes)} == broken
    assert not compare(OLD, OLD)


def test_what_is_inside_others_and_around_them_is_compared_too() -> None:
    def lines(**rules: Any) -> Field:
        return Field.array("lines", Field.object("item", [Field("price", pa.int64(), **rules)]))

    rule = QualityRule("rowCount", "mustBeGreaterThan", 0)
    old, new = Contract("c", (lines(),)), Contract("c", (lines(minimum=0),), quality=(rule,), on_schema_change="freeze")
    assert [str(change) for change in compare(old, new)] == [
        "breaks backward: on_schema_change discard_value became freeze",
        "breaks backward: quality rule added: rowCount must be above 0",
        "breaks backward: lines[].price: minimum none became 0",
    ]
    assert [change.forward for change in compare(new, old)] == [True, True, True]
    assert len(breaking(compare(old, new), "full")) == 3
    assert not breaking(compare(old, new), "forward")


RULES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([pa.int32(), pa.int64(), pa.float64(), pa.decimal128(5, 0)]),
        "minimum": st.integers(0, 3),
        "maximum": st.integers(4, 9),
        "multiple_of": st.sampled_from([1, 2, 4]),
        "required": st.booleans(),
    },
)
VALUES = [None, -1, *range(11), 2**40, 0.5, "x"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(RULES, RULES)
def test_a_row_that_shows_a_break_is_never_missed(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = (Contract("c", (Field("a", **{"type": pa.int64(), **rules}),)) for rules in (old, new))
    rows = [Sample({"a": value}, None) for value in VALUES]
    taken = [set(judged(rows, each).good.column("__position").to_pylist()) for each in (before, after)]
    changes = compare(before, after)
    if taken[0] - taken[1]:
        assert breaking(changes, "backward")
    if taken[1] - taken[0]:
        assert breaking(changes, "forward")


def test_the_command_fails_when_the_new_version_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"old": OLD, "wide": Contract("c", changed(maximum=11)), "same": OLD}
    for name, contract in files.items():
        (tmp_path / name).write_text(to_odcs(contract))
    assert main(["contract", "diff", f"{tmp_path}/old", f"{tmp_path}/same"]) == 0
    assert main(["contract", "diff", f"{tmp_path}/old", f"{tmp_path}/wide"]) == 0
    assert main(["contract", "diff", f"{tmp_path}/old", f"{tmp_path}/wide", "--compatibility", "full"]) == 1
    assert main(["contract", "diff", f"{tmp_path}/old", f"{tmp_path}/nosuch"]) == 2
    assert "breaks forward: a: maximum 10 became 11" in capsys.readouterr().out


def test_the_command_prints_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c").write_text(to_odcs(OLD))
    assert main(["contract", "sample", f"{tmp_path}/c", "-n", "20", "--bad", "0.5", "--seed", "2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 20
    good = judged([Sample(row, None) for row in rows], OLD).good.num_rows
    assert 3 < good < 17
    assert main(["contract", "sample", f"{tmp_path}/c", "--bad", "7"]) == 2
