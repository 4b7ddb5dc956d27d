"""`parity`: a pipeline on two runners, and what differs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from beam_pipelines.launch import arguments
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM


def main(argv: Sequence[str]) -> int:
    """Run both sides and print whether their outputs are equal."""
    asked, rest = _parser().parse_known_args(_joined(argv, ("--left", "--right")))
    from beam_pipelines.launch import quiet

    with quiet.beams_log(asked.verbose):
        from beam_pipelines.launch import parity

        return parity.parity(asked, rest)


def _joined(argv: Sequence[str], flags: tuple[str, ...]) -> list[str]:
    """Write these flags with `=`: their values are options themselves, and argparse would take one for the next."""
    words = iter(argv)
    return [f"{word}={value}" if word in flags and (value := next(words, None)) is not None else word for word in words]


def _parser() -> arguments.Parser:
    parser = arguments.Parser(
        prog=f"{PROGRAM} parity",
        usage=f"{PROGRAM} parity PIPELINE --left 'RUNNER OPTIONS' --right 'RUNNER OPTIONS' [--option VALUE …]",
        description="Run a pipeline on two runners, or as a batch and as a stream (--right '--replay …'), and compare, "
        "exactly\nand in any order, the rows, aggregates and dead letters they commit, and the counts of their "
        "balances. A stream's\nlate rows are aggregated anew: how many there are is the runner's affair.",
        epilog=EPILOG,
    )
    parser.add_argument("pipeline", metavar="PIPELINE")
    for side in ("left", "right"):
        help = "Options for this side alone: of Beam, the runner and the pipeline; '' for none. Required."
        parser.add_argument(f"--{side}", required=True, metavar="'OPTIONS'", help=help)
    parser.add_argument(
        "--output", metavar="FOLDER", help="Keep what the sides write, in FOLDER/left and FOLDER/right. Default: none."
    )
    parser.add_argument("--show", type=_rows, default=10, metavar="N", help="Differing rows to show. Default: 10.")
    parser.add_argument(
        "--timeout",
        type=arguments.seconds,
        default=3600.0,
        metavar="SECONDS",
        help="Longest time of one run. Default: 3600.",
    )
    parser.add_argument("--verbose", action="store_true", help="show the runs' output, and Beam's log")
    return parser


def _rows(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of rows")
    return int(text)
