"""`dead-letters replay`: run refused rows again."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch import arguments
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM, RUNNER_EPILOG


def main(argv: Sequence[str]) -> int:
    """Replay the dead letters of one run as a run of its own. UsageError when that can't be done."""
    parser = arguments.Parser(
        prog=f"{PROGRAM} dead-letters replay",
        usage=f"{PROGRAM} dead-letters replay OUTPUT [--run_id ID] [--letters FILE] [--option VALUE …]",
        description="Run the dead letters of a committed run through its pipeline again, with its options and those "
        "given here\n(a newer --contract, say). Rows keep their event times. A letter that a committed replay took is "
        "never\ntaken again: what it refused are dead letters of its own, to be replayed in their turn.",
        epilog=RUNNER_EPILOG,
    )
    parser.add_argument("output", metavar="OUTPUT", help="The lake, as the run's --output named it.")
    parser.add_argument("--run_id", metavar="ID", help="The run. Default: the only one with letters to replay.")
    parser.add_argument(
        "--letters", metavar="FILE", help="Take these letters only: lines of `dead-letters cat`, payloads patched."
    )
    parser.add_argument("--verbose", action="store_true", help="show Beam's log, and the traceback of an error")
    asked, rest = parser.parse_known_args(argv)
    from beam_pipelines.launch import quiet

    with quiet.beams_log(asked.verbose) as said:
        from beam_pipelines.launch import replay, run

        chosen = replay.choose(asked.output, asked.run_id, asked.letters, rest)
        if chosen is None:
            print("no dead letter is left to replay: nothing was done")
            return ExitCode.OK
        print(f"replaying {chosen.rows:,} dead letters of run {chosen.of_run}")
        return run.run(chosen.entry, chosen.request, said)
