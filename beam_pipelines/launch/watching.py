"""Live progress: what a running pipeline has done so far, drawn on a terminal or written as plain lines."""

from __future__ import annotations

import _thread
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from beam_pipelines import ledger, progress
from beam_pipelines.sink.runs import DeadLetterRateError

PLAIN_SECONDS = 15.0
"""Between plain lines: few enough for a log, often enough to see that it isn't stuck."""

_DRAWN_SECONDS = 0.25
_ASKED_SECONDS = 3.0  # between two questions to a runner for its counters

_ROWS_JUDGED = 10_000
"""Rows read before the share of refused ones is looked at while a pipeline runs: a bad start isn't a bad run."""

_LOOK_SECONDS = 1.0

Counts = Callable[[], Mapping[str, int]]


class Watch:
    """Where the counts come from: this process, until `follow` names a runner that counts elsewhere."""

    def __init__(self) -> None:
        self._before = progress.counted()
        self._elsewhere: Counts | None = None
        self._answer: Mapping[str, int] = {}
        self._asked = 0.0

    def follow(self, counts: Counts) -> None:
        """Ask here too from now on; what it raises counts as no answer."""
        self._elsewhere = counts

    def counts(self) -> Mapping[str, int]:
        """What has been counted since the watch began."""
        here = {name: number - self._before.get(name, 0) for name, number in progress.counted().items()}
        if any(here.values()) or self._elsewhere is None:
            return here
        if time.monotonic() - self._asked > _ASKED_SECONDS:
            self._asked = time.monotonic()
            with contextlib.suppress(Exception):
                self._answer = self._elsewhere()
        return self._answer


@contextlib.contextmanager
def watched(total_bytes: int | None, stream: TextIO | None = None) -> Iterator[Watch]:
    """Show progress on a stream, standard error by default, until the block ends.

    `total_bytes` is what will be read, where that is known before: then the time left is told too.
    """
    stream = stream or sys.stderr
    watch = Watch()
    ended = threading.Event()
    show = _draw if stream.isatty() else _write_lines
    thread = threading.Thread(target=show, args=(watch, total_bytes, stream, ended), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join(timeout=5)


@contextlib.contextmanager
def alarmed_when_too_many_refused(watch: Watch, most: float | None, stream: TextIO | None = None) -> Iterator[None]:
    """Write an alarm whenever more than this share was refused of the rows read since the last look.

    For streams, which nobody wants to end for a bad hour; a look takes in 10,000 rows or more.
    """
    ended = threading.Event()
    told = stream or sys.stderr

    def look() -> None:
        before: Mapping[str, int] = {}
        while most is not None and not ended.wait(_LOOK_SECONDS):
            now = dict(watch.counts())
            read, refused = (now.get(name, 0) - before.get(name, 0) for name in (ledger.READ, ledger.DEAD_LETTERED))
            if read >= _ROWS_JUDGED:
                before = now
                if refused > most * read:
                    print(
                        f"ALARM: --max_dead_letter_rate: {refused:,} of the last {read:,} rows were refused "
                        f"({refused / read:.2%}), more than {most:.2%}. The stream goes on.",
                        file=told,
                        flush=True,
                    )

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)


@contextlib.contextmanager
def stopped_when_too_many_refused(watch: Watch, most: float | None) -> Iterator[None]:
    """Interrupt the main thread when more than this share of the rows read was refused; then DeadLetterRateError.

    The counts are attempts, which may count a row twice: the finaliser has the last word with the ledger's.
    """
    if most is None:
        yield
        return
    ended, found = threading.Event(), list[str]()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            counts = watch.counts()
            read, refused = counts.get(ledger.READ, 0), counts.get(ledger.DEAD_LETTERED, 0)
            if read >= _ROWS_JUDGED and refused > most * read:
                found.append(
                    f"--max_dead_letter_rate: {refused:,} of the first {read:,} rows were refused "
                    f"({refused / read:.2%}), more than {most:.2%}: the run was cancelled, nothing was published"
                )
                _thread.interrupt_main()
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:  # an interrupt that comes while a DoFn runs is an exception of that DoFn to Beam
        if found:
            raise DeadLetterRateError(found[0]) from None
        raise
    finally:
        ended.set()


def told(counts: Mapping[str, int], seconds: float, total_bytes: int | None) -> str:
    """One line of progress.

    >>> told({"read": 1_500_000, "bytes": 300_000_000, "dead_lettered": 12}, 10.0, 600_000_000)
    '10 s: 1,500,000 rows read, 150,000 rows/s, 300.0 MB, 12 dead letters, about 10 s left'
    """
    read, size = counts.get(ledger.READ, 0), counts.get(progress.BYTES, 0)
    parts = [f"{read:,} rows read", f"{read / max(seconds, 1e-3):,.0f} rows/s"]
    if size:
        parts.append(f"{size / 1e6:,.1f} MB")
    parts.append(f"{counts.get(ledger.DEAD_LETTERED, 0):,} dead letters")
    if size and total_bytes:
        share = min(1.0, size / total_bytes)
        parts.append(f"about {seconds / share - seconds:,.0f} s left" if share < 1 else "all read")
    return f"{seconds:,.0f} s: {', '.join(parts)}"


def _write_lines(watch: Watch, total_bytes: int | None, stream: TextIO, ended: threading.Event) -> None:
    started = time.monotonic()
    while not ended.wait(PLAIN_SECONDS):
        print(told(watch.counts(), time.monotonic() - started, total_bytes), file=stream, flush=True)


def _draw(watch: Watch, total_bytes: int | None, stream: TextIO, ended: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = [SpinnerColumn(), TextColumn("{task.description}")]
    if total_bytes:
        columns.insert(1, BarColumn(bar_width=24))
    started = time.monotonic()
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("starting", total=total_bytes)
        while not ended.wait(_DRAWN_SECONDS):
            counts = watch.counts()
            line = told(counts, time.monotonic() - started, total_bytes)
            bar.update(task, description=line, completed=min(counts.get(progress.BYTES, 0), total_bytes or 0))
