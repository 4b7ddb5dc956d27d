"""`lake rollback`: a run taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Roll back, or say what would be. UsageError for a run that isn't there or was replaced by a later one."""
    parser = Parser(
        prog=f"{PROGRAM} lake rollback",
        description="Take a run back: its rows, aggregates and late rows are read no more. Its dead letters stay.\n"
        "It is a run too, and can be rolled back until a vacuum.",
    )
    parser.add_argument(
        "output", metavar="OUTPUT", help="The --output of the runs, or an iceberg:// or delta:// table."
    )
    parser.add_argument(
        "run_id", metavar="RUN_ID", help="The run to take back; of a table: the snapshot or version to go back to."
    )
    parser.add_argument("--dry_run", action="store_true", help="only say what would be done")
    asked = parser.parse_args(argv)
    from beam_pipelines.sink.care import rolling_back
    from beam_pipelines.sink.tables.care import care_of, refuse_options

    care = care_of(asked.output)
    if care is not None:
        refuse_options(asked.output, {"--dry_run": asked.dry_run})
        care.rollback(asked.run_id)
        print(f"{asked.output.partition('?')[0]} is what it was at {asked.run_id}")
        return ExitCode.OK
    if asked.dry_run:
        away, back = rolling_back.goes_and_comes(asked.output, asked.run_id)
        for path in away:
            print(f"would go: {path}")
        for file in back:
            print(f"would come back: {file['path']}")
        return ExitCode.OK
    manifest = rolling_back.rollback(asked.output, asked.run_id, datetime.now(timezone.utc))
    came = f", {len(manifest['files']):,} came back" if manifest["files"] else ""
    print(f"{len(manifest['replaces']):,} files of run {asked.run_id} went{came}, by run {manifest['run_id']}")
    return ExitCode.OK
