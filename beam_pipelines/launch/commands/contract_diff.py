"""`contract diff`: what changes between two versions of a contract, and whether that breaks anybody."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.contract import read_contract
from beam_pipelines.contract.compare import breaking, compare
from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print each change and what it breaks. A break of the compatibility asked for makes the command fail."""
    parser = Parser(
        prog=f"{PROGRAM} contract diff",
        description="Compare two versions of a contract. Backward: what the old one takes, the new one takes. "
        "Forward: what the new one takes, the old one takes. Exit code 1 when it breaks.",
    )
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("new", metavar="NEW")
    parser.add_argument(
        "--compatibility", choices=("backward", "forward", "full"), default="backward", help="default: backward"
    )
    told = parser.parse_args(argv)
    changes = compare(read_contract(told.old), read_contract(told.new))
    for change in changes:
        print(change)
    broken = breaking(changes, told.compatibility)
    if not changes:
        print("no change in what a row means")
    elif not broken:
        print(f"{told.compatibility} compatible")
    return ExitCode.DIFFERENT if broken else ExitCode.OK
