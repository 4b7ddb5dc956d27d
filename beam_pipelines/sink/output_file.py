"""A file being written: it counts its bytes, says what a failed write means, and can be given up."""

from __future__ import annotations

import contextlib
import errno
from typing import IO, Any

from beam_pipelines.sink import storage
from beam_pipelines.sink.runs import OutputError

_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OutputFile:
    """A file object for pyarrow that counts bytes and says what a failed write means."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes = 0
        self._aborted = False
        self._file: IO[bytes] = _explained(path, storage.create, path)

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, data: Any) -> int:
        if not self._aborted:
            _explained(self.path, self._file.write, data)
            self.bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        """Nothing to do: what counts is the close."""

    def close(self) -> None:
        _explained(self.path, self._file.close)

    def abort(self) -> None:
        self._aborted = True
        with contextlib.suppress(Exception):
            self._file.close()
        storage.discard(self.path)


def _explained(path: str, call: Any, *args: Any) -> Any:
    try:
        return call(*args)
    except OSError as refused:
        raise OutputError(f"--output: can't write {path}: {_reason(refused)}. Nothing was published.") from refused


def _reason(refused: OSError) -> str:
    if refused.errno in _OUT_OF_SPACE:
        return "no space is left, or a quota or size limit is reached; make room and run it again"
    return refused.strerror or str(refused)
