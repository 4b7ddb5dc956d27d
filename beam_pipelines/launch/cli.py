"""The command line. Nothing heavy is imported before a verb needs it, so that help comes at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from beam_pipelines import __version__
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.launch import exit_codes
from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.pipelines import entries, find

_PROGRAM = "beam-pipelines"
_DOCTOR_SECONDS = 120.0  # of one small job: several times what a busy machine takes
_TRACEBACK = "BEAM_PIPELINES_TRACEBACK"

_EPILOG = f"""exit codes:
{exit_codes.table()}

environment:
  BEAM_PIPELINES_MASK_KEY   key of pseudonyms, as KEY_ID:HEX
  {_TRACEBACK}  set to 1 to see the traceback of an error
"""

_RUN_EPILOG = f"""Every option of Apache Beam and of its runners is taken too, such as --runner, --streaming or
--direct_num_workers. Without --runner the pipeline runs in this process, on Beam's FnApiRunner.
What stands after -- goes to the runner unchecked.

{_EPILOG}"""

_VERBS = {
    "run": "run a pipeline",
    "list": "list the pipelines",
    "describe": "describe a pipeline and its options",
    "contract": "check data contracts",
    "doctor": "prove that a runner does what pipelines need",
    "parity": "run a pipeline on two runners and compare what comes of it",
    "dead-letters": "look at the rows that runs refused",
    "dataflow-emulator": "a local Dataflow: it takes jobs of the real DataflowRunner, and runs them",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see `exit_codes`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _command(arguments)
    except UsageError as wrong:
        from beam_pipelines.launch.failures import explain

        failure = explain(wrong)
        print(f"{_PROGRAM}: {failure.message}", file=sys.stderr)
        if os.environ.get(_TRACEBACK) or "--verbose" in arguments:
            print(failure.details, file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        print(f"{_PROGRAM}: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _command(argv: list[str]) -> int:
    if argv and not argv[0].startswith("-") and argv[0] not in _VERBS:
        raise UsageError(f"there is no command '{argv[0]}'.{did_you_mean(argv[0], _VERBS)}")
    if argv[:1] == ["run"]:
        return _run(argv[1:])
    if argv[:1] == ["doctor"]:
        return _doctor(argv[1:])
    if argv[:1] == ["parity"]:
        return _parity(argv[1:])
    if argv[:1] == ["dataflow-emulator"]:
        from beam_pipelines.dataflow_emulator import command

        return command.main(argv[1:])
    asked = _parser().parse_args(argv)
    match asked.verb, getattr(asked, "what", None):
        case "list", _:
            from beam_pipelines.launch import describe

            print(describe.list_pipelines(entries()))
        case "describe", _:
            from beam_pipelines.launch import describe

            show = describe.describe_json if asked.format == "json" else describe.describe
            print(show(find(asked.pipeline)))
        case "contract", "lint":
            from beam_pipelines.launch import lint

            return lint.lint(asked.file)
        case "dead-letters", "cat":
            from beam_pipelines.launch import letters

            return letters.cat(asked.output, asked.run_id)
        case _:
            _parser().print_help()
            return ExitCode.USAGE
    return ExitCode.OK


def _run(argv: list[str]) -> int:
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help"):
        _run_parser().print_help()
        return ExitCode.OK if argv else ExitCode.USAGE
    if name.startswith("-"):
        raise UsageError(f"the pipeline comes first: {_PROGRAM} run PIPELINE {name} …")
    from beam_pipelines.launch import arguments, quiet

    entry = find(name)
    if {"-h", "--help"} & set(argv[1:]):
        arguments.pipeline_parser(entry, _RUN_EPILOG).print_help()
        return ExitCode.OK
    with quiet.beams_log("--verbose" in argv) as said:
        request = arguments.read(entry, argv[1:], _RUN_EPILOG)
        from beam_pipelines.launch import run

        return run.run(entry, request, said)


def _doctor(argv: list[str]) -> int:
    parser = _doctor_parser()
    asked, flags = parser.parse_known_args(argv)
    from beam_pipelines.launch import arguments, quiet

    with quiet.beams_log(asked.verbose):
        arguments.check_for_beam(flags, parser, "doctor")
        from beam_pipelines.launch import doctor

        return doctor.doctor(asked, flags)


def _doctor_parser() -> Parser:
    parser = Parser(
        prog=f"{_PROGRAM} doctor",
        usage=f"{_PROGRAM} doctor [--timeout SECONDS] [--verbose] [--RUNNER_OPTION VALUE …]",
        description="Prove with small jobs on your own runner that it does what pipelines need: its workers have our "
        "versions\nand can import us; shuffle, side inputs, windows, state, timers, our batches and the ledger work.",
        epilog=_RUN_EPILOG,
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help=f"Longest time of one job. Default: {_DOCTOR_SECONDS:g}, and 900 on Dataflow, whose workers start first.",
    )
    parser.add_argument("--verbose", action="store_true", help="show Beam's log")
    parser.set_defaults(default_timeout=_DOCTOR_SECONDS)
    return parser


def _parity(argv: list[str]) -> int:
    asked, rest = _parity_parser().parse_known_args(_joined(argv, ("--left", "--right")))
    from beam_pipelines.launch import quiet

    with quiet.beams_log(asked.verbose):
        from beam_pipelines.launch import parity

        return parity.parity(asked, rest)


def _joined(argv: list[str], flags: tuple[str, ...]) -> list[str]:
    """Write these flags with `=`: their values are options themselves, and argparse would take one for the next."""
    words = iter(argv)
    return [f"{word}={value}" if word in flags and (value := next(words, None)) is not None else word for word in words]


def _parity_parser() -> Parser:
    parser = Parser(
        prog=f"{_PROGRAM} parity",
        usage=f"{_PROGRAM} parity PIPELINE --left 'RUNNER OPTIONS' --right 'RUNNER OPTIONS' [--option VALUE …]",
        description="Run a pipeline on two runners and compare, exactly and in any order, the rows, aggregates and "
        "dead\nletters they commit, and the counts of their balances.",
        epilog=_EPILOG,
    )
    parser.add_argument("pipeline", metavar="PIPELINE")
    for side in ("left", "right"):
        help = "Options of Beam and the runner for this side; '' for none. Required."
        parser.add_argument(f"--{side}", required=True, metavar="'OPTIONS'", help=help)
    parser.add_argument(
        "--output", metavar="FOLDER", help="Keep what the sides write, in FOLDER/left and FOLDER/right. Default: none."
    )
    parser.add_argument("--show", type=_rows, default=10, metavar="N", help="Differing rows to show. Default: 10.")
    parser.add_argument(
        "--timeout", type=_seconds, default=3600.0, metavar="SECONDS", help="Longest time of one run. Default: 3600."
    )
    parser.add_argument("--verbose", action="store_true", help="show the runs' output, and Beam's log")
    return parser


def _rows(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of rows")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number of seconds")
    return seconds


def _run_parser() -> Parser:
    names = ", ".join(entry.name for entry in entries())
    parser = Parser(
        prog=f"{_PROGRAM} run",
        usage=f"{_PROGRAM} run PIPELINE [--option VALUE …]",
        description=f"Run a pipeline: {names}, or the dotted path of a pipeline module of your own.",
        epilog=f"`{_PROGRAM} run PIPELINE --help` shows the pipeline's options.\n\n{_RUN_EPILOG}",
    )
    return parser


def _parser() -> Parser:
    parser = Parser(
        prog=_PROGRAM,
        description="Apache Beam pipelines on Arrow record batches, driven by data contracts.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"{_PROGRAM} {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands")
    verbs.add_parser("run", help=_VERBS["run"])
    verbs.add_parser("doctor", help=_VERBS["doctor"])
    verbs.add_parser("parity", help=_VERBS["parity"])
    verbs.add_parser("dataflow-emulator", help=_VERBS["dataflow-emulator"])
    verbs.add_parser("list", help=_VERBS["list"], description="List the pipelines.")

    describe = verbs.add_parser("describe", help=_VERBS["describe"], description="Describe a pipeline and its options.")
    describe.add_argument("pipeline", metavar="PIPELINE")
    describe.add_argument("--format", choices=("text", "json"), default="text", help="Default: text.")

    contract = verbs.add_parser("contract", help=_VERBS["contract"], description="Check data contracts.")
    lint = contract.add_subparsers(dest="what", metavar="COMMAND", required=True).add_parser(
        "lint",
        help="check contract files",
        description="Check Open Data Contract Standard files: all that is wrong, with its line.",
    )
    lint.add_argument("file", metavar="FILE", nargs="+")

    letters = verbs.add_parser("dead-letters", help=_VERBS["dead-letters"], description="Look at refused rows.")
    cat = letters.add_subparsers(dest="what", metavar="COMMAND", required=True).add_parser(
        "cat",
        help="print dead letters as JSON Lines",
        description="Print dead letters as JSON Lines. They hold raw payloads: as sensitive as the input.",
    )
    cat.add_argument("output", metavar="OUTPUT", help="The --output (or --dead_letter_output) of the runs.")
    cat.add_argument("--run_id", metavar="ID", help="Only those of this run.")
    return parser
