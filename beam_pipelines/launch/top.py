"""`top`: look at what a stream's workers write down, again and again, until the stream ends."""

from __future__ import annotations

import sys
import threading
import time

from rich.console import Console
from rich.live import Live

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.live import page as pages
from beam_pipelines.live.terminal import drawn
from beam_pipelines.live.view import View, view_of
from beam_pipelines.sink import live_numbers
from beam_pipelines.sink.live_numbers import Snapshot

_RATE_SECONDS = 1.0  # between two snapshots for a rate, at least: workers tell once a second


class _Looking:
    """Looks at a run, and remembers the snapshot before."""

    def __init__(self, output: str, run_id: str) -> None:
        self._output, self._run_id = output, run_id
        self._lock = threading.Lock()
        self._before: Snapshot | None = None
        self._last: Snapshot | None = None

    def look(self) -> View | None:
        """What is known now; None when the run has ended."""
        snapshots = live_numbers.read(self._output, self._run_id)
        if not snapshots:
            return None
        now = live_numbers.fresh(live_numbers.together(snapshots), time.time())
        with self._lock:
            if self._last is None or now.at - self._last.at >= _RATE_SECONDS:
                self._before, self._last = self._last, now
            return view_of(self._run_id, self._last, self._before)

    def page_view(self) -> View:
        """What is known now; what was known last when the run has ended."""
        found = self.look()
        with self._lock:
            return found or view_of(self._run_id, self._last or Snapshot(0.0, {}, {}), self._before)


def top(output: str, run_id: str | None, *, once: bool, every: float, page: int | None) -> ExitCode:
    """Show it. UsageError when no stream tells anything in this output."""
    looking = _Looking(output, run_id or _latest(output))
    view = looking.look()
    if view is None:
        raise UsageError(
            f"--run_id: no stream '{run_id}' tells anything in {output}. It has ended, or didn't begin yet"
        )
    if page is not None:
        with pages.shown(page, looking.page_view) as address:
            print(f"{address}, until Ctrl-C", flush=True)
            while True:
                time.sleep(every)
    if once or not sys.stdout.isatty():
        time.sleep(_RATE_SECONDS)
        Console().print(drawn(looking.look() or view))
        return ExitCode.OK
    with Live(drawn(view), auto_refresh=False) as live:
        while (found := looking.look()) is not None:
            live.update(drawn(found), refresh=True)
            time.sleep(every)
    print("the stream has ended")
    return ExitCode.OK


def _latest(output: str) -> str:
    found = live_numbers.running(output)
    if not found:
        raise UsageError(
            f"no stream tells anything in {output}: it has ended, or didn't begin yet, or that isn't its --output"
        )
    return found[-1]
