"""What the workers of a stream have counted, while it runs: each process writes it down, wherever it runs.

A file for each process, `_runs/RUN_ID/tmp/live/NAME.json`, is written anew every few seconds by a thread of its own,
and goes with the run's temporary files when the stream ends. So no port of a worker has to be found or reached.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

from beam_pipelines import progress
from beam_pipelines.progress import Measured, Series
from beam_pipelines.sink import runs, storage
from beam_pipelines.sink.folder_writer import temporary_prefix

LOCAL_SECONDS = 1.0
REMOTE_SECONDS = 10.0
"""Between two snapshots of a process: a write to an object store costs money, one to a disk doesn't."""

STALE_SECONDS = 60.0
"""A gauge that was not set for so long says nothing: its reader went to another worker, or the job ended."""

_log = logging.getLogger(__name__)
_ME = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
_telling: set[tuple[str, str]] = set()
_lock = threading.Lock()


class Snapshot(NamedTuple):
    """What one process, or all of them, had counted and measured at a time, in seconds since the epoch."""

    at: float
    counts: dict[Series, int]
    gauges: dict[Series, Measured]

    def to_json(self) -> bytes:
        """Text from which `from_json` makes it again."""
        counts = [[each.name, dict(each.labels), number] for each, number in self.counts.items()]
        gauges = [[each.name, dict(each.labels), *measured] for each, measured in self.gauges.items()]
        return json.dumps({"at": self.at, "counts": counts, "gauges": gauges}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Snapshot:
        """Read what `to_json` wrote.

        >>> told = Snapshot(1.0, {Series("read", (("stage", "ReadLog"),)): 5}, {Series("b", ()): Measured(2.0, 1.0)})
        >>> Snapshot.from_json(told.to_json()) == told
        True
        """
        content: dict[str, Any] = json.loads(text)
        counts = {_series(name, labels): number for name, labels, number in content["counts"]}
        gauges = {_series(name, labels): Measured(value, at) for name, labels, value, at in content["gauges"]}
        return cls(content["at"], counts, gauges)


def _series(name: str, labels: dict[str, str]) -> Series:
    return Series(name, tuple(sorted(labels.items())))


def of_this_process() -> Snapshot:
    """What this process has counted."""
    return Snapshot(time.time(), progress.counts(), progress.gauges())


def together(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Counts of all processes added up, those that are gone too; of each gauge the value that was set last."""
    at, counts, gauges = 0.0, dict[Series, int](), dict[Series, Measured]()
    for snapshot in snapshots:
        at = max(at, snapshot.at)
        for series, number in snapshot.counts.items():
            counts[series] = counts.get(series, 0) + number
        for series, measured in snapshot.gauges.items():
            if series not in gauges or measured.at > gauges[series].at:
                gauges[series] = measured
    return Snapshot(at, counts, gauges)


def fresh(snapshot: Snapshot, now: float) -> Snapshot:
    """Without gauges that say nothing any more."""
    kept = {
        series: measured
        for series, measured in snapshot.gauges.items()
        if now - measured.at <= STALE_SECONDS or series.name == progress.CIRCUIT
    }
    return snapshot._replace(gauges=kept)


def read(output: str, run_id: str) -> list[Snapshot]:
    """The last snapshot of each process of a run; none if the run has ended, or isn't a stream, or begins."""
    found = []
    for path in storage.list_below(_folder(output, run_id)):
        content = storage.read(path) if path.endswith(".json") else None
        with contextlib.suppress(ValueError, KeyError):  # a worker that was killed while it wrote
            found.append(Snapshot.from_json(content or b""))
    return found


def running(output: str) -> list[str]:
    """Ids of the runs in a lake whose workers tell something, the one that did so last at the end."""
    told: dict[str, float] = {}
    root = f"{storage.root_of(output)}/{runs.RUNS}/"
    for path in storage.list_below(root.removesuffix("/")):
        run_id, _, rest = path.removeprefix(root).partition("/")
        if rest.startswith("tmp/live/") and path.endswith(".json"):
            found = read(output, run_id) if run_id not in told else []
            told[run_id] = max([told.get(run_id, 0.0), *(each.at for each in found)])
    return sorted(told, key=lambda run_id: told[run_id])


def tell(output: str, run_id: str) -> None:
    """Have this process write down what it counts, from now until the run is committed. Once is enough."""
    with _lock:
        if (output, run_id) in _telling:
            return
        _telling.add((output, run_id))
    threading.Thread(target=_keep_telling, args=(output, run_id), name="live numbers", daemon=True).start()


def _keep_telling(output: str, run_id: str) -> None:
    # A process may run several streams, one after the other: only what is counted from now on is this one's.
    before = progress.counts()
    began = time.time()
    path = f"{_folder(output, run_id)}/{_ME}.json"
    seconds = LOCAL_SECONDS if storage.is_local(storage.root_of(output)) else REMOTE_SECONDS
    try:
        while not storage.exists(runs.manifest_path(output, run_id)):
            _write(path, _since(before, began))
            time.sleep(seconds)
            if storage.is_local(path) and not storage.exists(runs.run_folder(output, run_id)):
                return  # somebody took the whole run away
        # It may have been written when the run was just committed.
        storage.delete_below(_folder(output, run_id))
        storage.delete_if_empty(storage.parent_of(_folder(output, run_id)))
    except Exception:
        _log.warning("the numbers of this worker can't be written down; the job isn't affected", exc_info=True)
    finally:
        with _lock:
            _telling.discard((output, run_id))


def _since(before: dict[Series, int], began: float) -> Snapshot:
    now = of_this_process()
    counts = {each: number - before.get(each, 0) for each, number in now.counts.items()}
    gauges = {each: measured for each, measured in now.gauges.items() if measured.at >= began}
    return Snapshot(now.at, {each: number for each, number in counts.items() if number}, gauges)


def _write(path: str, snapshot: Snapshot) -> None:
    scratch = f"{storage.parent_of(path)}/scratch"
    storage.write(path, snapshot.to_json(), scratch)


def _folder(output: str, run_id: str) -> str:
    return f"{temporary_prefix(storage.root_of(output), run_id)}/live"
