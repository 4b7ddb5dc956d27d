"""Run one job in a process of its own, with a hard time limit, and tell how it ended.

The processes are forked from one that has imported Beam already and does nothing else, so that a job doesn't
pay for imports, and nothing of the test process (threads, channels of gRPC) is there.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    ["beam_pipelines.launch.run", "beam_pipelines.pipelines.event_analytics.build", "apache_beam.runners.direct"]
)
_GRACE_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a job ended: whether without an exception, and all that it wrote on its outputs, its traceback last."""

    well: bool
    log: str


def run(folder: Path, seconds: int, variables: Mapping[str, str], work: Callable[..., None], *arguments: Any) -> Ended:
    """Call `work(*arguments)` in a new process; what it still runs after `seconds` is killed.

    `variables` are added to its environment. `work` and its arguments are pickled. Its log is `job.log` in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "job.log"
    process = _PROCESSES.Process(target=_run, args=(str(log), dict(variables), work, arguments))
    process.start()
    process.join(seconds)
    in_time = process.exitcode is not None
    # The process leads a group, in which are the workers and runners that it started.
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid or 0, number)
        except ProcessLookupError:
            break
        process.join(_GRACE_SECONDS)
    text = log.read_text(errors="replace") if log.is_file() else ""
    return Ended(process.exitcode == 0 and in_time, text if in_time else f"{text}\nkilled after {seconds} s")


def _run(log: str, variables: dict[str, str], work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.setsid()
    with open(log, "wb", buffering=0) as file:  # noqa: PTH123  a plain descriptor for all that is started
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ["PYTHONPATH"] = str(ROOT)  # of worker processes
    os.environ["BEAM_PIPELINES_TRACEBACK"] = "1"  # in the log, not in a file of its own
    os.environ.update(variables)
    code = 1
    try:
        work(*arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # What Beam left running (threads of gRPC, of Prism's log) must not keep the job alive.
        os._exit(code)
