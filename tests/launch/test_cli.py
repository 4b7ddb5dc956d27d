"""The command line: what it prints, what it exits with, and what it says of mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from beam_pipelines import __version__
from beam_pipelines.launch import exit_codes
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.pipelines import entries

TINY = "tests.launch.tiny"
ROOT = Path(__file__).parents[2]


def _wrong(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What a command that can't be understood says; it must say it on stderr alone, and exit with 2."""
    assert main(argv) == ExitCode.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    return told.err.strip()


def test_list_names_each_pipeline_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    widest = max(len(entry.name) for entry in entries())
    assert lines == [f"{entry.name:<{widest}}  {entry.summary}" for entry in entries()]
    assert "event_analytics" in lines[0]


def test_describe_shows_each_option_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", TINY]) == 0
    assert capsys.readouterr().out == (
        "tiny: Numbers from one up → a text file with their sum.\n"
        "\n"
        "A pipeline module as somebody else would write it, to try the command line with.\n"
        "\n"
        "pipeline\n"
        "  --result FILE                               required  File to write the sum to.\n"
        "  --numbers INT                               3         How many numbers.\n"
        "\n"
        "mischief\n"
        "  --fail no|usage|contract|bug|balance|output  no        How to fail.\n"
    ).replace("FILE         ", "FILE          ").replace("INT         ", "INT          ")


def test_describe_as_json_holds_what_the_definition_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", TINY, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["summary"]) == ("tiny", "Numbers from one up → a text file with their sum.")
    assert told["options"][1] == {
        "name": "numbers",
        "type": "int",
        "many": False,
        "required": False,
        "default": 3,
        "help": "How many numbers.",
        "group": "pipeline",
        "metavar": None,
        "choices": [],
        "meanings": {},
        "pattern": None,
        "requires": None,
        "param_type": "NUMBER",
        "example": None,
    }


def test_help_of_a_pipeline_has_groups_defaults_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", TINY, "--help"]) == 0
    text = capsys.readouterr().out
    assert "\nmischief:\n" in text
    assert "File to write the sum to. Required." in text
    assert "How many numbers. Default: 3." in text
    assert exit_codes.table() in text


@pytest.mark.parametrize(
    "argv", [["--help"], ["run", "--help"], ["describe", "--help"], ["dead-letters", "cat", "--help"]]
)
def test_help_is_no_mistake(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) if argv[0] != "run" else _nothing() as left:
        assert main(argv) == 0
    assert left is None or left.value.code == 0
    assert "usage: beam-pipelines" in capsys.readouterr().out


def _nothing() -> object:
    import contextlib

    return contextlib.nullcontext()


def test_the_exit_codes_are_documented() -> None:
    text = (ROOT / "docs/command-line.md").read_text()
    for code in ExitCode:
        assert f"| {code.value} | {code.meaning} |" in text


def test_no_command_at_all_shows_help_and_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.USAGE
    assert "describe" in capsys.readouterr().out
    assert main(["contract"]) == ExitCode.USAGE
    assert "contract lint" in (told := capsys.readouterr().out)
    assert "describe" not in told


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["rnu", TINY], "there is no command 'rnu'. Did you mean 'run'?"),
        (
            ["run", "event_analytic"],
            "there is no pipeline 'event_analytic'. Did you mean 'event_analytics'?",
        ),
        (["describe", "x"], "there is no pipeline 'x'. There is: event_analytics, files_to_lake."),
        (
            ["run", "tests.launch.nowhere"],
            "the pipeline module tests.launch.nowhere can't be imported: No module named 'tests.launch.nowhere'",
        ),
        (["run", "tests.launch"], "the module tests.launch is not a pipeline: it has no OPTIONS"),
        (
            ["run", "--numbers", "3", TINY],
            "the pipeline comes first: beam-pipelines run PIPELINE --numbers …",
        ),
        (["run", TINY], "--result is required: File to write the sum to."),
        (
            ["run", TINY, "--result"],
            "--result needs a value; write --result=VALUE if it begins with a dash",
        ),
        (
            ["run", TINY, "--result=r", "--numbers=many"],
            "--numbers: 'many' is not a whole number",
        ),
        (
            ["run", TINY, "--result=r", "--fail=bugg"],
            "--fail: 'bugg' is not one of no, usage, contract, bug, balance, output. Did you mean 'bug'?",
        ),
        (
            ["run", TINY, "--result=r", "--nubmers", "7"],
            "--nubmers is not an option of tiny, of Apache Beam or of the runner. Did you mean '--numbers'?",
        ),
        (
            ["run", TINY, "--result=r", "--quux", "7"],
            "--quux is not an option of tiny, of Apache Beam or of the runner. "
            "`beam-pipelines describe tiny` lists what there is.",
        ),
        (
            ["run", TINY, "--result=r", "--runer=FnApiRunner"],
            "--runer is not an option of tiny, of Apache Beam or of the runner. Did you mean '--runner'?",
        ),
        (
            ["run", TINY, "--result=r", "--runner", "PrizmRunner"],
            "--runner: there is no runner 'PrizmRunner'. Did you mean 'PrismRunner'?",
        ),
        (
            ["run", TINY, "--result=r", "--direct_num_workers=two"],
            "--direct_num_workers: invalid int value: 'two'",
        ),
        (
            ["run", TINY, "--result=r", "--streaming=yes"],
            "--streaming: takes no value",
        ),
        (
            ["run", TINY, "--result", "a.csv", "b.csv"],
            "'b.csv' belongs to no option. Was a pattern expanded by the shell? Quote it: --input 'data/*.jsonl'",
        ),
        (["describe"], "the following arguments are required: PIPELINE"),
        (["contract", "lnit"], "there is no command 'contract lnit'. Did you mean 'lint'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_alone_and_names_the_nearest_right_word(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _wrong(capsys, *argv) == f"beam-pipelines: {message}"


def test_all_mistakes_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    told = _wrong(capsys, "run", TINY, "--numbers=x", "--quux=hunter2", "--runner=Flnk")
    assert told.splitlines() == [
        "beam-pipelines: 4 options are wrong:",
        "  --result is required: File to write the sum to.",
        "  --numbers: 'x' is not a whole number",
        "  --runner: there is no runner 'Flnk'. Did you mean 'FlinkRunner'?",
        "  --quux is not an option of tiny, of Apache Beam or of the runner. "
        "`beam-pipelines describe tiny` lists what there is.",
    ]


def test_a_job_server_that_does_not_answer_is_told_by_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--runner=PortableRunner", "--job_endpoint=localhost:9", "--checkpointing_interval=3000"]
    told = _wrong(capsys, "run", TINY, "--result=r", *flags)
    assert told.startswith("beam-pipelines: --job_endpoint: nothing listens at 'localhost:9'. Is the job server")


def test_the_traceback_of_a_mistake_is_there_for_who_asks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAM_PIPELINES_TRACEBACK", "1")
    assert main(["describe", "x"]) == ExitCode.USAGE
    assert "Traceback" in capsys.readouterr().err


def test_the_module_is_the_console_script() -> None:
    script = Path(sys.executable).with_name("beam-pipelines")
    outputs = [
        subprocess.run([*program, "--version"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for program in ([sys.executable, "-m", "beam_pipelines"], [str(script)])
    ]
    assert outputs == [f"beam-pipelines {__version__}\n"] * 2


@pytest.mark.parametrize(
    "argv", [["--help"], ["list"], ["describe", "event_analytics"], ["run", "event_analytics", "--help"]]
)
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    program = (
        "import sys\n"
        "from beam_pipelines.launch.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "print('HEAVY', {'apache_beam', 'pyarrow', 'numpy', 'msgspec', 'sqlglot', 'grpc', 'yaml'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "HEAVY set()"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    shell = f"set -o pipefail; {sys.executable} -m beam_pipelines describe event_analytics | head -n 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
