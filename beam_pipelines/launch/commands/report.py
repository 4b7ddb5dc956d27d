"""`report`: a page that shows what a committed run did, from the files it left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Write the report and print where it is. UsageError when there is no such lake, run or folder."""
    parser = Parser(
        prog=f"{PROGRAM} report",
        description="Make one self-contained HTML page of a committed run: the pipeline with counts on its edges,\n"
        "aggregates over event time, dead letters by rule, the quality of columns, versions and engine.",
    )
    parser.add_argument("output", metavar="OUTPUT", help="The --output of the run: a lake, on any file system.")
    parser.add_argument("--run_id", metavar="ID", help="Default: the run that was committed last.")
    parser.add_argument("--to", metavar="FILE", help="Default: _runs/ID/report.html in the lake.")
    asked = parser.parse_args(argv)
    from beam_pipelines import report

    if asked.to is None:
        print(report.write(asked.output, asked.run_id))
        return ExitCode.OK
    page = report.html(asked.output, asked.run_id)
    try:
        Path(asked.to).write_text(page)
    except OSError as refused:
        raise UsageError(f"--to: can't write {asked.to}: {refused.strerror}") from None
    print(asked.to)
    return ExitCode.OK
