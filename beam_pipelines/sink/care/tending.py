"""A lake tended while a stream writes into it: the process that publishes its files compacts them now and then."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timezone

from beam_pipelines.sink import runs
from beam_pipelines.sink.care.compacting import FOLDERS, compact

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_waiting: set[tuple[str, str]] = set()


def tend(output: str, run_id: str, every: float) -> None:
    """Say that this process has just published files of a stream; within `every` seconds it compacts the lake.

    In a thread of its own, so that the stream goes on. A process that publishes nothing does nothing, so that one whose
    stream went to another worker leaves the lake to that one. What fails is told in the log and tried the next time.
    """
    with _lock:
        if (output, run_id) in _waiting:
            return
        _waiting.add((output, run_id))
    timer = threading.Timer(every, _compact, (output, run_id))
    timer.name, timer.daemon = "compacts a lake", True
    timer.start()


def _compact(output: str, run_id: str) -> None:
    try:
        if runs.committed_manifest(output, run_id) is None:
            manifest = compact(output, datetime.now(timezone.utc), FOLDERS, spare=True)
            if manifest is not None:
                replaced, files = len(manifest["replaces"]), len(manifest["files"])
                _log.info("%d files became %d, by run %s", replaced, files, manifest["run_id"])
    except Exception:
        _log.warning("%s can't be compacted now; the stream isn't affected", output, exc_info=True)
    finally:
        with _lock:
            _waiting.discard((output, run_id))
