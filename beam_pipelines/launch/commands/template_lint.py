"""`template lint`: what is wrong with a flex template, ours or anybody's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.dataflow.words import read_parameters
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM
from beam_pipelines.options import refuse
from beam_pipelines.pipelines import find
from beam_pipelines.templates.lint.findings import Finding


def main(argv: Sequence[str]) -> int:
    """Print findings as `FILE: error: …`. Errors make the command fail, warnings only with --strict."""
    parser = Parser(
        prog=f"{PROGRAM} template lint",
        usage=f"{PROGRAM} template lint PIPELINE|DIR … [--strict]",
        description="Check flex templates: metadata, image and program against each other, secrets, streams whose "
        "groups never\ncome out, sinks that write twice. A folder is only read; nothing of it is executed.",
        epilog=EPILOG,
    )
    parser.add_argument("template", metavar="PIPELINE|DIR", nargs="+")
    parser.add_argument("--strict", action="store_true", help="Warnings fail the command too.")
    parser.add_argument(
        "--parameters",
        metavar="NAME=VALUE",
        nargs="+",
        action="extend",
        help="Of a pipeline: look also at the graph that it builds with these.",
    )
    asked = parser.parse_args(argv)
    given, problems = read_parameters(asked.parameters or [])
    refuse(problems)
    failed = False
    for template in asked.template:
        findings = _lint(template, given if asked.parameters else None)
        for finding in findings:
            print(finding)
        failed = failed or any(asked.strict or finding.severity == "error" for finding in findings)
        if not findings:
            print(f"{template}: ok")
    return ExitCode.USAGE if failed else ExitCode.OK


def _lint(template: str, parameters: dict[str, str] | None) -> list[Finding]:
    from beam_pipelines.templates.lint.lint import lint_folder, lint_pipeline

    if Path(template).is_dir():
        if parameters is not None:
            raise UsageError(f"--parameters: '{template}' is a folder, whose program is not run; name a pipeline")
        return list(lint_folder(Path(template)))
    if "/" in template:
        raise UsageError(f"there is no folder '{template}'")
    return list(lint_pipeline(find(template), parameters))
