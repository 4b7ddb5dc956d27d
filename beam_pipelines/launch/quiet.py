"""Keeping Beam's log out of the way, unless it is asked for, and unless it says something."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

_TRACEBACK = "Traceback (most recent call last)"
_HARMLESS = (
    # Said at each start of a worker process or job server; nothing follows from it.
    ("apache_beam.runners.portability.local_job_service", "No semi_persistent_directory found"),
    ("apache_beam.utils.subprocess_server", "Really starting service"),
    ("apache_beam.utils.subprocess_server", "Starting service with"),
    # What made the run fail: the command itself tells it when it ends.
    ("apache_beam.runners.direct.executor", "Giving up after"),
    ("apache_beam.runners.direct.executor", "A task failed with exception"),
    ("PrismRunner", "bundle error"),
    ("PrismRunner", "Bundle Failed"),
    ("PrismRunner", "job failed"),
    # The emulator's stand-in credentials, which name no pool of Google's.
    ("google.auth.external_account", "Invalid audience format for Regional Access Boundary lookup"),
    # RunInference says so when torch isn't installed, which has to do with another way of loading models.
    ("root", "Resource module is not available"),
    # An option that only the job server knows: it was asked before.
    ("apache_beam.options.pipeline_options", "Unparseable argument"),
)
"""Names of loggers, and parts of those messages of theirs that are left out."""

_KEPT = 20  # tracebacks: the first ones tell what happened, the rest are its consequences
_BEAMS = ("apache_beam.", "root", "PrismRunner", "SdkWorker")


class _LeaveOut(logging.Filter):
    """Leaves out what is harmless, what is no warning, and tracebacks; these it keeps: they tell what happened."""

    def __init__(self, kept: list[str], verbose: bool) -> None:
        super().__init__()
        self._kept = kept
        self._verbose = verbose

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        told = _TRACEBACK in message or bool(record.exc_info and record.exc_info[0])
        if told and record.name.startswith(_BEAMS):
            _keep(self._kept, message if _TRACEBACK in message else logging.Formatter().format(record))
            return self._verbose
        harmless = any(record.name == name and part in message for name, part in _HARMLESS)
        # Beam gives Prism's lines their level after the logger let them pass.
        return self._verbose or (record.levelno >= logging.WARNING and not harmless)


def _keep(kept: list[str], text: str) -> None:
    if len(kept) < _KEPT:
        kept.append(text)


class _Stopping(logging.Filter):
    """Leaves out that a server was stopped, which Beam says when the program is as good as gone."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Really destroying service" not in record.getMessage()


_STOPPING = _Stopping()


class _Tracebacks(io.TextIOBase):
    """A standard error that leaves out the tracebacks Beam's workers print whole, besides logging them."""

    def __init__(self, target: TextIO, kept: list[str]) -> None:
        self._target = target
        self._kept = kept
        self._left_out = False

    def write(self, text: str) -> int:
        if text.startswith(_TRACEBACK):
            self._left_out = True
            _keep(self._kept, text)
        elif not (self._left_out and text == "\n"):  # print() writes its line end by itself
            self._left_out = False
            self._target.write(text)
        return len(text)

    def flush(self) -> None:
        self._target.flush()

    def fileno(self) -> int:
        return self._target.fileno()

    def isatty(self) -> bool:
        return self._target.isatty()


def _is_hang_up(left: threading.ExceptHookArgs) -> bool:
    """Whether a worker's thread complains that the runner closed the line: so every portable job ends."""
    return "Multiplexer hanging up" in str(left.exc_value)


@contextlib.contextmanager
def beams_log(verbose: bool) -> Iterator[list[str]]:
    """Show Beam's warnings and errors alone, without the known harmless ones; or everything, if verbose.

    Yields a list in which the first tracebacks that Beam logs or prints are kept, in order.
    """
    kept: list[str] = []
    root = logging.getLogger()
    before = root.level
    hook = threading.excepthook
    # Beam would set up a handler of its own if the root logger had none.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_LeaveOut(kept, verbose))
    root.addHandler(handler)
    root.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        if verbose:
            yield kept
        else:
            logging.getLogger("apache_beam.utils.subprocess_server").addFilter(_STOPPING)
            threading.excepthook = lambda left: None if _is_hang_up(left) else hook(left)
            with contextlib.redirect_stderr(_Tracebacks(sys.stderr, kept)):
                yield kept
    finally:
        threading.excepthook = hook
        root.removeHandler(handler)
        root.setLevel(before)
