"""`contract lint`: everything wrong with contract files, each finding with its line."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from beam_pipelines.contract import lint_contract
from beam_pipelines.errors import UsageError
from beam_pipelines.launch.exit_codes import ExitCode


def lint(files: Iterable[str]) -> ExitCode:
    """Print the findings of each file as `FILE: line N: …`. Errors make the command fail, warnings don't."""
    wrong = False
    for file in files:
        try:
            findings = lint_contract(file)
        except UsageError as unreadable:
            print(f"beam-pipelines: {unreadable}", file=sys.stderr)
            wrong = True
            continue
        for finding in findings:
            print(f"{file}: {'' if finding.severity == 'error' else 'warning: '}{finding}")
            wrong = wrong or finding.severity == "error"
        if not findings:
            print(f"{file}: ok")
    return ExitCode.USAGE if wrong else ExitCode.OK
