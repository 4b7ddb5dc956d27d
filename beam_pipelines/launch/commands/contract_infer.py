"""`contract infer`: a contract of what is in a file, which runs as it is."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print the contract, with what was assumed as comments before it."""
    parser = Parser(
        prog=f"{PROGRAM} contract infer",
        description="Look into a file (JSON Lines, JSON, CSV, Parquet, Avro, ORC) and print a contract of its rows.",
    )
    parser.add_argument("data", metavar="DATA", help="file, folder or pattern; the first file is looked into")
    parser.add_argument("--rows", type=int, default=10_000, metavar="N", help="rows looked at; default: 10000")
    parser.add_argument("--format", default="auto", help="what the file holds; default: auto")
    parser.add_argument("--compression", default="auto", help="how it is compressed; default: auto")
    parser.add_argument("--csv_delimiter", default=",", help="the character between CSV fields; \\t is a tab")
    parser.add_argument("--csv_nulls", default="", metavar="WORDS", help="words that mean null, separated by commas")
    parser.add_argument("--name", help="name of the contract; default: that of the file")
    told = parser.parse_args(argv)

    import dataclasses  # what reads files takes its time to import, and help is to come at once

    from beam_pipelines.contract import to_odcs
    from beam_pipelines.infer.files import infer_contract

    delimiter = told.csv_delimiter.replace("\\t", "\t")
    nulls = [word for word in told.csv_nulls.split(",") if word]
    guess = infer_contract(told.data, told.format, told.compression, delimiter, told.rows, nulls)
    contract = dataclasses.replace(guess.contract, name=told.name) if told.name else guess.contract
    seen = f"# Made by `{PROGRAM} contract infer` from at most {told.rows} rows. Look it over"
    print(f"{seen}; it assumes:" if guess.notes else f"{seen}.")
    for note in guess.notes:
        print(f"# - {' '.join(note.split())}")
    if delimiter != "," or nulls:
        given = [f"--csv_delimiter '{told.csv_delimiter}'"] if delimiter != "," else []
        given += [f"--csv_nulls '{','.join(nulls)}'"] if nulls else []
        print(f"# Runs need {' '.join(given)} too.")
    print(to_odcs(contract), end="")
    return 0
