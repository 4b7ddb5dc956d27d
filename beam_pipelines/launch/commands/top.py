"""`top`: what a running stream is doing, on the terminal or as a page."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch import arguments
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM


def main(argv: Sequence[str]) -> int:
    """Show the numbers until they end, or once."""
    asked = _parser().parse_args(argv)
    from beam_pipelines.launch import top

    return top.top(asked.output, asked.run_id, once=asked.once, every=asked.every, page=asked.page)


def _parser() -> arguments.Parser:
    parser = arguments.Parser(
        prog=f"{PROGRAM} top",
        usage=f"{PROGRAM} top OUTPUT [--run_id ID] [--once] [--page PORT]",
        description="What a running stream does: rows a second, how far its watermark is behind, what waits in each "
        "partition,\ndead letters by rule, and endpoints that are left alone. Workers write it down below OUTPUT, "
        "wherever they run.",
        epilog=EPILOG,
    )
    parser.add_argument("output", metavar="OUTPUT", help="The stream's --output.")
    parser.add_argument("--run_id", metavar="ID", help="Default: the stream that told its numbers last.")
    parser.add_argument("--once", action="store_true", help="Print the numbers once, and end.")
    parser.add_argument(
        "--every", type=arguments.seconds, default=2.0, metavar="SECONDS", help="Between two looks. Default: 2."
    )
    parser.add_argument(
        "--page",
        type=arguments.port,
        metavar="PORT",
        help="Show it as a page at http://127.0.0.1:PORT instead, for browsers of this machine; 0 is a free port.",
    )
    return parser
