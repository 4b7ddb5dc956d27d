"""Command-line arguments: a parser made from option specs, and what is left for Beam and the runner."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from beam_pipelines import options
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import OptionSpec
from beam_pipelines.pipelines import PipelineEntry

_LAST_PORT = 65535
_HELP_COLUMN = 30  # characters before the help text: fits the longest option with its metavar


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of leaving the program, and never guesses names."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=_HELP_COLUMN),
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        """Turn argparse's own complaint into ours."""
        raise UsageError(_in_our_words(message))


def _in_our_words(message: str) -> str:
    wants = re.fullmatch(r"argument (\S+): expected one argument", message)
    if wants:
        flag = wants[1].rpartition("/")[2]
        return f"{flag} needs a value; write {flag}=VALUE if it begins with a dash"
    return re.sub(r"^argument ", "", re.sub(r"ignored explicit argument '.*'", "takes no value", message))


def pipeline_parser(entry: PipelineEntry, epilog: str) -> Parser:
    """The parser of `run PIPELINE`: the pipeline's options by group, and `--verbose`."""
    specs = options.specs(entry.options)
    required = "".join(f" {spec.flag} {spec.placeholder}" for spec in specs if spec.required)
    prog = f"beam-pipelines run {entry.name}"
    usage = f"{prog}{required} [--OPTION VALUE …]".replace("%", "%%")
    parser = Parser(prog=prog, usage=usage, description=entry.description, epilog=epilog)
    groups: dict[str, Any] = {}
    for spec in specs:
        if spec.group not in groups:
            groups[spec.group] = parser.add_argument_group(spec.group)
        add(groups[spec.group], spec)
    parser.add_argument("--dry_run", action="store_true", help="check all that can be checked, draw the graph, end")
    parser.add_argument("--verbose", action="store_true", help="show Beam's log, and the traceback of an error")
    parser.add_argument(
        "--metrics_port",
        type=port,
        metavar="PORT",
        help="serve the run's numbers to Prometheus at http://127.0.0.1:PORT/metrics; 0 is a free port",
    )
    parser.add_argument(
        "--metrics_host", default="127.0.0.1", metavar="HOST", help="listen there instead; 0.0.0.0 is every interface"
    )
    parser.add_argument(
        "--metrics_push", metavar="URL", help="push them to a Prometheus pushgateway, for runs that end"
    )
    return parser


def add(group: Any, spec: OptionSpec) -> None:
    """Add one option. Its text is checked by `options.parse`, so that all mistakes are told at once."""
    settings: dict[str, Any] = {"help": described(spec).replace("%", "%%"), "default": argparse.SUPPRESS}
    if spec.type is bool and not spec.many:
        settings |= {"nargs": "?", "const": "true", "metavar": "true|false"}
    else:
        settings["metavar"] = spec.placeholder
        settings["action"] = "append" if spec.many else "store"
    group.add_argument(spec.flag, **settings)


def described(spec: OptionSpec) -> str:
    """The option's help with its default, or that it is required."""
    if spec.required:
        return f"{spec.help} Required."
    shown = default_text(spec)
    default = f"Default: {shown}." if shown and "Default:" not in spec.help else ""
    return " ".join(sentence for sentence in (spec.help, spec.condition, default) if sentence)


def default_text(spec: OptionSpec) -> str:
    """The default as one would write it on the command line; empty when there is none."""
    text = spec.default_text
    if text is None:
        return ""
    return text if any(char.isalnum() for char in text) else f"'{text}'"


def seconds(text: str) -> float:
    """The type of an argument that is a length of time."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number of seconds")
    return number


def port(text: str) -> int:
    """The type of an argument that is a port; 0 is a free one."""
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, from 0 (a free one) to {_LAST_PORT}")
    return int(text)


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Where a run's numbers go while it runs: an endpoint for Prometheus, its pushgateway."""

    port: int | None = None
    host: str = "127.0.0.1"
    push: str | None = None


@dataclasses.dataclass(frozen=True)
class Request:
    """What `run PIPELINE …` asks for: the pipeline's options, Beam's flags, and how to go about it."""

    options: Any
    beam_flags: list[str]
    verbose: bool
    dry_run: bool = False
    metrics: Metrics = Metrics()


def read(entry: PipelineEntry, argv: Sequence[str], epilog: str) -> Request:
    """Tell the pipeline's options from Beam's and the runner's.

    What stands after `--` goes to the runner unchecked. Raises UsageError with all mistakes.
    """
    checked, unchecked = _until_dashes(argv)
    found, leftover = pipeline_parser(entry, epilog).parse_known_args(checked)
    values = vars(found)
    verbose, dry_run = values.pop("verbose"), values.pop("dry_run")
    metrics = Metrics(*(values.pop(f"metrics_{name}") for name in ("port", "host", "push")))
    parsed, problems = options.examine(entry.options, values, source=entry.name)
    if leftover:
        problems += _wrong_for_beam(leftover, [spec.flag for spec in options.specs(entry.options)], entry.name)
    options.refuse(problems)
    return Request(parsed, [*leftover, *unchecked], verbose, dry_run, metrics)


def check_for_beam(flags: list[str], parser: argparse.ArgumentParser, command: str) -> None:
    """UsageError for what neither the command's own parser, nor Beam, nor the runner knows."""
    ours = [flag for action in parser._actions for flag in action.option_strings]
    checked, _ = _until_dashes(flags)
    options.refuse(_wrong_for_beam(checked, ours, command))


def _until_dashes(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    arguments = list(argv)
    if "--" not in arguments:
        return arguments, []
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


def _wrong_for_beam(flags: list[str], ours: list[str], pipeline: str) -> list[str]:
    """What in these flags neither Beam nor the runner knows."""
    parser = beam_parser()
    beams = [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]
    found, extras = parser.parse_known_args(flags)
    problems = _wrong_runner(found.runner)
    runners: set[str] = set()
    if extras and found.job_endpoint not in (None, "embed"):
        from beam_pipelines.launch import preflight

        runners = preflight.job_server_options(found.job_endpoint)
    known = [*ours, *beams, *sorted(runners)]
    flag = None
    for word in extras:
        if word.startswith("--"):
            flag = word.partition("=")[0]
            if flag not in runners:
                problems.append(_unknown(flag, known, pipeline))
        elif flag is None:
            problems.append(
                f"'{word}' belongs to no option. Was a pattern expanded by the shell? Quote it: --input 'data/*.jsonl'"
            )
    return problems


def _unknown(flag: str, known: list[str], pipeline: str) -> str:
    """Like `options.unknown`, but Beam's hundreds of options are no list to print."""
    near = options.nearest_flag(flag, known)
    hint = f"Did you mean '{near}'?" if near else f"`beam-pipelines describe {pipeline}` lists what there is."
    return f"{flag} is not an option of {pipeline}, of Apache Beam or of the runner. {hint}"


def _wrong_runner(name: str | None) -> list[str]:
    from apache_beam.options.pipeline_options import StandardOptions

    if name is None or "." in name:
        return []
    known = list(StandardOptions.KNOWN_RUNNER_NAMES)
    if name.lower() in {each.lower().removesuffix(suffix) for each in known for suffix in ("", "runner")}:
        return []
    whole = name if name.lower().endswith("runner") else f"{name}Runner"
    return [f"--runner: there is no runner '{name}'.{did_you_mean(whole, known)}"]


def beam_parser() -> argparse.ArgumentParser:
    """A parser with the options of every PipelineOptions class there is."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)

    def error(message: str) -> NoReturn:
        raise UsageError(_in_our_words(message))

    parsers[0].error = error  # type: ignore[method-assign]
    return parsers[0]
