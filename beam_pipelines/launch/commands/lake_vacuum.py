"""`lake vacuum`: what nobody needs any more deleted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Delete, or say what would be. UsageError when there is no lake."""
    parser = Parser(
        prog=f"{PROGRAM} lake vacuum",
        description="Delete files that compactions and rollbacks have replaced, what runs left that never committed,\n"
        "and data files that no manifest names, if nothing has touched them for long.",
    )
    parser.add_argument(
        "output", metavar="OUTPUT", help="The --output of the runs, or an iceberg:// or delta:// table."
    )
    parser.add_argument(
        "--older_than", type=_duration, default=timedelta(days=7), metavar="TIME", help="as 12h or 7d. Default: 7d."
    )
    parser.add_argument("--dry_run", action="store_true", help="only say what would be deleted")
    asked = parser.parse_args(argv)
    from beam_pipelines.sink.care import vacuuming
    from beam_pipelines.sink.tables.care import care_of

    care = care_of(asked.output)
    if care is not None:
        paths = care.vacuum(asked.older_than, asked.dry_run)
        for path in paths if asked.dry_run else ():
            print(f"would be deleted: {path}")
        print(f"{len(paths):,} files {'would be' if asked.dry_run else 'were'} deleted")
        return ExitCode.OK
    now = datetime.now(timezone.utc)
    if asked.dry_run:
        found = vacuuming.unneeded(asked.output, now, asked.older_than)
        for path, size in found:
            print(f"would be deleted: {path} ({size:,} bytes)")
    else:
        found = vacuuming.vacuum(asked.output, now, asked.older_than)
    verb = "would be" if asked.dry_run else "were"
    print(f"{len(found):,} files of {sum(size for _, size in found):,} bytes {verb} deleted")
    return ExitCode.OK


def _duration(text: str) -> timedelta:
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdecimal() and text[-1:] in units:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 30m, 12h or 7d")
