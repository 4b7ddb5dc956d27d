"""`contract docs`: a readable page of a contract, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.contract import read_contract
from beam_pipelines.contract.page import to_markdown
from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print the page."""
    parser = Parser(prog=f"{PROGRAM} contract docs", description="Print a contract as a page of Markdown.")
    parser.add_argument("file", metavar="FILE")
    print(to_markdown(read_contract(parser.parse_args(argv).file)), end="")
    return 0
