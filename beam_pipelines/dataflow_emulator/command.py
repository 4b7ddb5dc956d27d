"""The emulator as a command: it serves until it is interrupted, and says what is submitted."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from beam_pipelines.dataflow_emulator import flex_launcher
from beam_pipelines.dataflow_emulator.emulator import DataflowEmulator
from beam_pipelines.errors import UsageError

_LOOK_SECONDS = 0.5


def add_arguments(parser: Any) -> None:
    """Add the emulator's options to an argparse parser."""
    parser.add_argument("--port", type=int, default=0, help="port of the Dataflow API. Default: a free one.")
    parser.add_argument(
        "--bucket", action="append", metavar="NAME", help="bucket to make, once for each. Default: dataflow."
    )
    parser.add_argument("--prism", type=Path, metavar="FILE", help="the Prism program. Default: found or refused.")
    parser.add_argument("--boot", type=Path, metavar="FILE", help="the SDK's entrypoint. Default: built once with Go.")
    parser.add_argument(
        "--worker_package",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="what workers have installed besides Beam and this package's dependencies, as installed here",
    )
    parser.add_argument(
        "--worker_variable", action="append", default=[], metavar="NAME=VALUE", help="environment variable of workers"
    )
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="IMAGE=FILE",
        help="an image that flex templates name, and the program of this machine that stands for it; once for each",
    )
    parser.add_argument(
        "--image_variable", action="append", default=[], metavar="NAME=VALUE", help="environment variable of images"
    )
    parser.add_argument("--work_dir", type=Path, metavar="DIR", help="keep the jobs' files and logs here")
    parser.add_argument("--record_only", action="store_true", help="receive and check jobs, but run none")


def serve(arguments: argparse.Namespace, output: TextIO) -> int:
    """Serve until SIGINT or SIGTERM. Raises UsageError when something that it needs is missing."""
    emulator = DataflowEmulator(
        port=arguments.port,
        buckets=arguments.bucket or ("dataflow",),
        run_jobs=not arguments.record_only,
        prism=arguments.prism,
        boot=arguments.boot,
        worker_packages=arguments.worker_package,
        worker_variables=dict(_variable(text) for text in arguments.worker_variable),
        images=_images(arguments),
        work_dir=arguments.work_dir,
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with emulator:
            print(_welcome(emulator), file=output, flush=True)
            _tell_states(emulator, output)
    except KeyboardInterrupt:
        print("stopped", file=output, flush=True)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command on its own: 0 when it was stopped, 2 when it can't start."""
    parser = argparse.ArgumentParser(prog="beam-pipelines dataflow-emulator", description=__doc__, allow_abbrev=False)
    add_arguments(parser)
    try:
        return serve(parser.parse_args(argv), sys.stdout)
    except UsageError as wrong:
        print(f"{parser.prog}: {wrong}", file=sys.stderr)
        return 2


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001  # signal's signature
    raise KeyboardInterrupt


def _variable(text: str, option: str = "--worker_variable") -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"{option}: '{text}' is not NAME=VALUE")
    return name, value


def _images(arguments: argparse.Namespace) -> dict[str, dict[str, str]]:
    variables = dict(_variable(text, "--image_variable") for text in arguments.image_variable)
    images = {}
    for text in arguments.image:
        image, program = _variable(text, "--image")
        if not Path(program).is_file():
            raise UsageError(f"--image: there is no file '{program}' to stand for {image}")
        images[image] = variables | {flex_launcher.PROGRAM: str(Path(program).absolute())}
    return images


def _welcome(emulator: DataflowEmulator) -> str:
    exports = "\n".join(f"  export {name}={value}" for name, value in emulator.environment().items())
    flags = " \\\n    ".join(emulator.flags())
    return (
        f"Dataflow is emulated on {emulator.endpoint}. Where you submit from:\n\n{exports}\n\n"
        f"and the flags of the pipeline:\n\n    {flags}\n\n"
        f"Logs of jobs: {emulator.directory / 'jobs'}. Ctrl-C stops it."
    )


def _tell_states(emulator: DataflowEmulator, output: TextIO) -> NoReturn:
    told: dict[str, str] = {}
    while True:
        for job in emulator.jobs.all():
            state = job.state.name.removeprefix("JOB_STATE_")
            if told.get(job.id) != state:
                told[job.id] = state
                print(f"{job.id} {job.submission.name} {state}", file=output, flush=True)
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
