"""The words after a command that concerns Dataflow: options of ours, parameters of a pipeline, flags of the command."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from beam_pipelines import options
from beam_pipelines.launch.arguments import Parser, add
from beam_pipelines.options import specs

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Asked(Generic[_T]):
    """What a command is asked for: its options, what came before them, the pipeline's parameters, and flags."""

    settings: _T
    subject: str
    parameters: dict[str, str]
    flags: argparse.Namespace


def parser(program: str, subject: str, summary: str, settings: type, epilog: str) -> Parser:
    """A parser for the name of something and the options of `settings`, by group."""
    required = "".join(f" {spec.flag} {spec.placeholder}" for spec in specs(settings) if spec.required)
    made = Parser(
        prog=program, usage=f"{program} {subject}{required} [--OPTION VALUE …]", description=summary, epilog=epilog
    )
    made.add_argument("subject", metavar=subject)
    groups: dict[str, Any] = {}
    for spec in specs(settings):
        if spec.group not in groups:
            groups[spec.group] = made.add_argument_group(spec.group)
        add(groups[spec.group], spec)
    return made


def read(made: Parser, argv: Sequence[str], settings: type[_T], command: str) -> Asked[_T]:
    """Read the words. Raises one UsageError for all that is wrong with the command's own options."""
    found, unknown = made.parse_known_args(list(argv))
    values = vars(found)
    known = {spec.name for spec in specs(settings)}
    given = {name: values.pop(name) for name in list(values) if name in known}
    parsed, problems = options.examine(settings, given, source=command)
    flags = [flag for action in made._actions for flag in action.option_strings if flag.startswith("--")]
    for word in unknown:
        if word.startswith("--"):
            problems.append(options.unknown(word.partition("=")[0], flags, command))
        else:
            problems.append(f"'{_name(word)}' belongs to no option{_pasted(word)}")
    parameters, wrong = read_parameters(values.pop("parameters", None) or [])
    options.refuse([*problems, *wrong])
    assert parsed is not None
    return Asked(parsed, values.pop("subject"), parameters, found)


def read_parameters(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Read NAME=VALUE of each word, and what is wrong with them. A word that begins with ^x^ holds several, with x
    between them, as Google's command writes them.

    >>> read_parameters(["a=1,2", "^~^b=x=y~c="])
    ({'a': '1,2', 'b': 'x=y', 'c': ''}, [])
    """
    found: dict[str, str] = {}
    problems = []
    for word in words:
        mark, packed = word[1:].partition("^")[::2] if word.startswith("^") else ("", "")
        for pair in packed.split(mark) if mark else [word]:
            name, equals, value = pair.partition("=")
            if not (equals and name):
                problems.append(f"--parameters: '{_name(pair)}' is not NAME=VALUE")
            elif name in found:
                problems.append(f"--parameters: {name} is given twice")
            else:
                found[name] = value
    return found, problems


def _name(word: str) -> str:
    """A word without what may be a secret."""
    return word.partition("=")[0]


def _pasted(word: str) -> str:
    if "=" in word:
        return f": write --parameters {_name(word)}=…"
    return ". Was a pattern expanded by the shell? Quote it: --parameters 'input=gs://bucket/*.jsonl'"


def add_launching(made: Parser) -> None:
    """Add what `launch` and `update` have in common besides their options."""
    made.add_argument(
        "--parameters",
        metavar="NAME=VALUE",
        nargs="+",
        action="extend",
        help="Parameters of the pipeline; `beam-pipelines describe PIPELINE` lists them.",
    )
    made.add_argument("--dry_run", action="store_true", help="Check everything, print the request, and submit nothing.")
    made.add_argument("--no_wait", action="store_true", help="Submit the job, and don't follow it.")
    made.add_argument("--verbose", action="store_true", help="show detailed messages, and the traceback of an error")
