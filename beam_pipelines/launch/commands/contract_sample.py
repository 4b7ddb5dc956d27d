"""`contract sample`: rows made up from a contract, good and bad, as JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Sequence

from beam_pipelines.contract import read_contract
from beam_pipelines.contract.samples import sample_rows
from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print so many rows, the same ones for the same seed."""
    parser = Parser(
        prog=f"{PROGRAM} contract sample",
        description="Print rows that a contract takes, as JSON Lines, and if wanted some that it refuses.",
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("-n", dest="count", type=int, default=10, metavar="N", help="so many rows; default: 10")
    parser.add_argument("--bad", type=float, default=0.0, metavar="RATE", help="share of bad rows, as in 0.1")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another seed makes other rows")
    told = parser.parse_args(argv)
    for sample in sample_rows(read_contract(told.file), told.count, told.bad, told.seed):
        print(json.dumps(sample.row, ensure_ascii=False))
    return 0
