"""The command line. Nothing heavy is imported before a command needs it, so that help comes at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from beam_pipelines import __version__
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.commands import COMMANDS, call
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM, TRACEBACK

_HELP = ("-h", "--help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see `exit_codes`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _command(arguments)
    except UsageError as wrong:
        from beam_pipelines.launch.failures import explain

        failure = explain(wrong)
        print(f"{PROGRAM}: {failure.message}", file=sys.stderr)
        if os.environ.get(TRACEBACK) or "--verbose" in arguments:
            print(failure.details, file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _command(argv: list[str]) -> int:
    for words in (2, 1):
        if (name := " ".join(argv[:words])) in COMMANDS:
            return call(name, argv[words:])
    first = argv[0] if argv else ""
    family = {name: summary for name, summary in COMMANDS.items() if name.startswith(f"{first} ")}
    if family and argv[1:] and argv[1] not in _HELP:
        seconds = [name.removeprefix(f"{first} ") for name in family]
        raise UsageError(f"there is no command '{first} {argv[1]}'.{did_you_mean(argv[1], seconds)}")
    if first and not first.startswith("-") and not family:
        raise UsageError(f"there is no command '{first}'.{did_you_mean(first, _first_words())}")
    parser = _parser(f"{PROGRAM} {first}", family) if family else _parser(PROGRAM, COMMANDS)
    parser.parse_args(argv[1:] if family else argv)
    parser.print_help()
    return ExitCode.USAGE


def _first_words() -> list[str]:
    return list(dict.fromkeys(name.split()[0] for name in COMMANDS))


def _parser(program: str, commands: dict[str, str]) -> Parser:
    """A parser that only knows the names of commands, for help and the version."""
    widest = max(map(len, commands))
    table = "\n".join(f"  {name:<{widest}}  {summary}" for name, summary in commands.items())
    parser = Parser(
        prog=program,
        usage=f"{program} COMMAND …",
        description="Apache Beam pipelines on Arrow record batches, driven by data contracts.",
        epilog=f"commands (`{PROGRAM} COMMAND --help` tells more):\n{table}\n\n{EPILOG}",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser
