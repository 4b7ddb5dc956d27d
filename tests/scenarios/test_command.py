"""`beam-pipelines test`: the example of the docs, a difference, and files that are wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/scenarios/late_visits.yaml"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE.parent, tmp_path / "scenarios")
    return tmp_path / "scenarios" / EXAMPLE.name


def test_the_docs_show_the_example_which_passes_and_a_difference_as_it_is_told(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = (ROOT / "docs/scenarios.md").read_text()
    assert f"```yaml\n{EXAMPLE.read_text()}```" in docs
    wrong = "".join(
        line.replace("user: bob, visits: 1", "user: bob, visits: 2") for line in EXAMPLE.read_text().splitlines(True)
    )
    columns = ('window_end: "12:10:00", ', 'window_end: "12:20:00", ', ", pages: 1, pane", ", pages: 10, pane")
    for column in (*columns, ", pages: 20, pane"):
        wrong = wrong.replace(column, ", pane" if "pages" in column else "")
    wrong = wrong.replace(", pane_index: 0, pane_timing: on_time", "").replace(
        "a visit is late", "a visit is never late"
    )
    both = EXAMPLE.read_text() + "\n" + wrong.partition("\n")[2]
    example.write_text(both)
    assert main(["test", str(example)]) == ExitCode.DIFFERENT
    told = capsys.readouterr().out
    assert "ok      a visit is late when its ten minutes are over" in told
    assert "1 of 2 scenarios as expected" in told
    difference = docs[docs.index("  aggregates: 2 as expected") :].partition("```")[0]
    assert difference in told


def test_what_comes_is_written_down_when_it_is_asked_for(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = example.read_text()
    example.write_text(whole[: whole.index("  expect:")])
    assert main(["test", str(example)]) == ExitCode.DIFFERENT
    assert "--update writes down what comes" in capsys.readouterr().out
    assert main(["test", str(example), "--update"]) == ExitCode.OK
    assert example.read_text() == whole


def test_files_and_options_that_are_wrong_are_told_before_anything_is_played(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example.write_text(example.read_text().replace("stream:", "steam:"))
    for arguments, message in (
        ([str(example)], "is not a field of a scenario. Did you mean 'stream'?"),
        (["nowhere.yaml"], "nowhere.yaml: the scenario can't be read: No such file or directory"),
        ([str(EXAMPLE), "--only", "nothing so called"], "--only: no scenario has 'nothing so called' in its name"),
        ([str(EXAMPLE), "--runer=PrismRunner"], "--runer is not an option of test, of Apache Beam"),
        ([str(EXAMPLE), "--update", "--runner=PrismRunner"], "--update: writes exact panes"),
    ):
        assert main(["test", *arguments]) == ExitCode.USAGE
        assert message in capsys.readouterr().err
