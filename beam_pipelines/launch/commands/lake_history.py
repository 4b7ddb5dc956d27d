"""`lake history`: the runs of a lake, oldest first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM

if TYPE_CHECKING:
    from beam_pipelines.sink.tables.care import Version


def main(argv: Sequence[str]) -> int:
    """Print a line for each run. UsageError when there is no lake."""
    parser = Parser(
        prog=f"{PROGRAM} lake history", description="List the runs of a lake, or the versions of a table, oldest first."
    )
    parser.add_argument(
        "output", metavar="OUTPUT", help="The --output of the runs, or an iceberg:// or delta:// table."
    )
    parser.add_argument("--json", action="store_true", help="a line of JSON for each")
    asked = parser.parse_args(argv)
    from beam_pipelines.sink.care.inventory import history, published
    from beam_pipelines.sink.tables.care import care_of

    care = care_of(asked.output)
    if care is not None:
        for version in care.history():
            print(json.dumps(version._asdict()) if asked.json else _told(version))
        return ExitCode.OK
    for line in history(published(asked.output)):
        if asked.json:
            print(json.dumps(line))
            continue
        replaced = f", replaced {line['replaced']:,} files" if line["replaced"] else ""
        read = f"{line['read']:,} read ({line['bytes']:,} bytes)"
        created = line["created"] or "has not ended".ljust(20)
        print(f"{created}  {line['run_id']}  {line['pipeline']}: {line['files']:,} files, {read}{replaced}")
    return ExitCode.OK


def _told(version: Version) -> str:
    rows = "" if version.rows is None else f", {version.rows:,} rows added"
    ours = f", by {version.commit_id}" if version.commit_id else ""
    return f"{version.created}  {version.id}  {version.operation}{rows}{ours}{' (current)' * version.current}"
