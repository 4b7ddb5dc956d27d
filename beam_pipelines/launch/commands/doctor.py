"""`doctor`: prove a runner with small jobs."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch import arguments
from beam_pipelines.launch.help_texts import PROGRAM, RUNNER_EPILOG

_SECONDS = 120.0  # of one small job: several times what a busy machine takes


def main(argv: Sequence[str]) -> int:
    """Run the proofs, and print what works, what doesn't and what to set."""
    parser = _parser()
    asked, flags = parser.parse_known_args(argv)
    from beam_pipelines.launch import quiet

    with quiet.beams_log(asked.verbose):
        arguments.check_for_beam(flags, parser, "doctor")
        from beam_pipelines.launch import doctor

        return doctor.doctor(asked, flags)


def _parser() -> arguments.Parser:
    parser = arguments.Parser(
        prog=f"{PROGRAM} doctor",
        usage=f"{PROGRAM} doctor [--timeout SECONDS] [--verbose] [--RUNNER_OPTION VALUE …]",
        description="Prove with small jobs on your own runner that it does what pipelines need: its workers have our "
        "versions\nand can import us; shuffle, side inputs, windows, state, timers, our batches and the ledger work.",
        epilog=RUNNER_EPILOG,
    )
    parser.add_argument(
        "--timeout",
        type=arguments.seconds,
        metavar="SECONDS",
        help=f"Longest time of one job. Default: {_SECONDS:g}, and 900 on Dataflow, whose workers start first.",
    )
    parser.add_argument("--verbose", action="store_true", help="show Beam's log")
    parser.set_defaults(default_timeout=_SECONDS)
    return parser
