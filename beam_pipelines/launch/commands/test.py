"""`test`: scenarios, and whether a pipeline makes of them what they say."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch import arguments
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM


def main(argv: Sequence[str]) -> int:
    """Play scenarios and print what is different."""
    parser = _parser()
    asked, flags = parser.parse_known_args(argv)
    from beam_pipelines.launch import quiet

    with quiet.beams_log(asked.verbose) as said:
        from beam_pipelines.launch import scenario_tests

        arguments.check_for_beam(flags, parser, "test")
        return scenario_tests.run(asked.scenarios, flags, update=asked.update, only=asked.only, said=said)


def _parser() -> arguments.Parser:
    parser = arguments.Parser(
        prog=f"{PROGRAM} test",
        usage=f"{PROGRAM} test SCENARIOS.yaml … [--update] [--only NAME] [--runner RUNNER …]",
        description="Play scenarios (streams written down as data, docs/scenarios.md) to their pipelines and compare "
        "what comes of\nthem. Without a runner, by TestStream on BundleBasedDirectRunner: panes are exact. On another "
        "runner, by a source:\nrows, dead letters, and panes and late rows together are compared.",
        epilog=EPILOG,
    )
    parser.add_argument("scenarios", nargs="+", metavar="SCENARIOS.yaml", help="Files of scenarios.")
    parser.add_argument("--update", action="store_true", help="Write what came into the files, as what is expected.")
    parser.add_argument("--only", metavar="NAME", help="Play only scenarios with this in their name.")
    parser.add_argument("--verbose", action="store_true", help="show Beam's log, and the traceback of an error")
    return parser
