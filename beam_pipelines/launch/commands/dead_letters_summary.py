"""`dead-letters summary`: refused rows by rule, stage and source, with examples that show no content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print the summary. UsageError when there is no such output or run."""
    parser = Parser(
        prog=f"{PROGRAM} dead-letters summary",
        description="Summarise dead letters by rule, stage and source. Examples show the shape of payloads: letters as "
        "x,\ndigits as 9.",
    )
    parser.add_argument("output", metavar="OUTPUT", help="The --output (or --dead_letter_output) of the runs.")
    parser.add_argument("--run_id", metavar="ID", help="Only those of this run.")
    asked = parser.parse_args(argv)
    print("\n".join(_lines(asked.output, asked.run_id)))
    return ExitCode.OK


def _lines(output: str, run_id: str | None) -> Iterator[str]:
    from beam_pipelines.report import facts
    from beam_pipelines.report.letters import summarize
    from beam_pipelines.sink import read_dead_letters

    found = summarize(read_dead_letters(output, run_id), facts.column_names(output, run_id))
    total = sum(each.rows for each in found)
    yield f"{total:,} dead letters{f' of run {run_id}' if run_id else ''}"
    for each in found:
        fields = f" in {', '.join(each.fields)}" if each.fields else ""
        yield f"\n{each.rows:,}  {each.rule}{fields}  ({each.transform})"
        yield from (f"    {rows:,} from {source}" for source, rows in each.top_sources)
        if each.other_sources:
            yield f"    and from {each.other_sources:,} more"
        for example in each.examples:
            place = "" if example.position is None else f":{example.position}"
            field = f"{example.field} " if example.field else ""
            yield f"    e.g. {field}{example.message}  [{example.source}{place}]"
            yield f"         {example.payload}"
