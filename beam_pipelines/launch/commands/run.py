"""`run PIPELINE`: run a pipeline with its options, and Beam's."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from beam_pipelines.columnar import collector
from beam_pipelines.errors import UsageError
from beam_pipelines.launch import arguments
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM, RUNNER_EPILOG
from beam_pipelines.pipelines import entries, find


def main(argv: Sequence[str]) -> int:
    """Run the pipeline that comes first in `argv`; the rest are its options."""
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help"):
        _parser().print_help()
        return ExitCode.OK if argv else ExitCode.USAGE
    if name.startswith("-"):
        raise UsageError(f"the pipeline comes first: {PROGRAM} run PIPELINE {name} …")
    entry = find(name)
    if {"-h", "--help"} & set(argv[1:]):
        arguments.pipeline_parser(entry, RUNNER_EPILOG).print_help()
        return ExitCode.OK
    from beam_pipelines.launch import memory, quiet

    memory.keep_freed_memory()
    with quiet.beams_log("--verbose" in argv) as said:
        with collector.paused():  # half a million objects that stay
            request = arguments.read(entry, argv[1:], RUNNER_EPILOG)
            from beam_pipelines.launch import run
        gc.freeze()  # which nobody has to go through again

        return run.run(entry, request, said)


def _parser() -> arguments.Parser:
    names = ", ".join(entry.name for entry in entries())
    return arguments.Parser(
        prog=f"{PROGRAM} run",
        usage=f"{PROGRAM} run PIPELINE [--option VALUE …]",
        description=f"Run a pipeline: {names}, or the dotted path of a pipeline module of your own.",
        epilog=f"`{PROGRAM} run PIPELINE --help` shows the pipeline's options.\n\n{RUNNER_EPILOG}",
    )
