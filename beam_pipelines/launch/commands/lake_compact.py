"""`lake compact`: few large files of many small ones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timezone

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Compact, or say what would be. UsageError when there is no lake."""
    parser = Parser(
        prog=f"{PROGRAM} lake compact",
        description="Make few large Parquet files of many small ones, folder by folder, as a run of its own.\n"
        "Readers who follow manifests see the same rows all the time; who globs waits for its end.",
    )
    parser.add_argument(
        "output", metavar="OUTPUT", help="The --output of the runs, or an iceberg:// or delta:// table."
    )
    parser.add_argument("--folders", default="rows", metavar="NAMES", help="rows, aggregates, late. Default: rows.")
    parser.add_argument("--target_mb", type=_mb, default=256, metavar="N", help="Size of a large file. Default: 256.")
    parser.add_argument("--sort_by", default="", metavar="COLUMNS", help="Sort rows within each file that is written.")
    parser.add_argument("--dry_run", action="store_true", help="only say what would be done")
    asked = parser.parse_args(argv)
    from beam_pipelines.sink.care import compacting
    from beam_pipelines.sink.tables.care import care_of, refuse_options

    folders = [name.strip() for name in asked.folders.split(",")]
    sort_by = [name.strip() for name in asked.sort_by.split(",") if name.strip()]
    target = asked.target_mb << 20
    care = care_of(asked.output)
    if care is not None:
        refuse_options(asked.output, {"--dry_run": asked.dry_run, "--folders": asked.folders != "rows"})
        done = care.compact(target, sort_by)
        print("nothing to compact" if done is None else f"{done.before:,} files became {done.after:,}")
        return ExitCode.OK
    if asked.dry_run:
        for group in compacting.plan(asked.output, folders, target):
            place = group[0].path.rpartition("/")[0]
            print(f"{place}/: {len(group):,} files of {sum(file.bytes for file in group):,} bytes would become one")
        return ExitCode.OK
    now = datetime.now(timezone.utc)
    manifest = compacting.compact(asked.output, now, folders, target, sort_by)
    if manifest is None:
        print("nothing to compact")
    else:
        print(f"{len(manifest['replaces']):,} files became {len(manifest['files']):,}, by run {manifest['run_id']}")
    return ExitCode.OK


def _mb(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of megabytes")
    return int(text)
