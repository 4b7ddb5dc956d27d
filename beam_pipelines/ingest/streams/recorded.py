"""Files as a log: each file is a partition that ends, a position is the number of rows read from it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.content import ReadOptions, read_content
from beam_pipelines.ingest.inputs import list_inputs, open_input
from beam_pipelines.ingest.streams.log import Polled


@dataclasses.dataclass(frozen=True)
class RecordedFiles:
    """Files that `ReadFiles` would read, to be read as a stream.

    `rows_per_second` is at most that of each reader; None is as fast as it goes. `ends`: whether the stream ends when
    all files are read. The files must not change while they are replayed.
    """

    patterns: tuple[str, ...]
    options: ReadOptions = dataclasses.field(default_factory=ReadOptions)
    rows_per_second: float | None = None
    ends: bool = True

    def __post_init__(self) -> None:
        if self.rows_per_second is not None and self.rows_per_second <= 0:
            raise UsageError(f"rows_per_second: {self.rows_per_second} is not a number of rows above 0")

    @property
    def name(self) -> str:
        return "files"

    def open(self, shard: int, shards: int) -> OpenFiles:  # noqa: ARG002  it reads those it is asked for
        return OpenFiles(self)


class Reading:
    """A file being read: where it is, and what was read beyond."""

    def __init__(self, path: str, options: ReadOptions) -> None:
        self._stack = contextlib.ExitStack()
        file = self._stack.enter_context(open_input(path))
        self._batches: Iterator[pa.RecordBatch] = read_content(file, path, options)
        try:
            self._held: pa.RecordBatch | None = next(self._batches, None)
        except BaseException:
            self.close()
            raise
        self.position = 0

    @property
    def is_at_end(self) -> bool:
        return self._held is None

    def take(self, rows: int) -> pa.RecordBatch:
        """The next rows, of one batch; the file isn't at its end."""
        assert self._held is not None
        taken = self._held.slice(0, rows)
        rest = self._held.slice(taken.num_rows)
        self._held = rest if rest.num_rows else next(self._batches, None)
        self.position += taken.num_rows
        return taken

    def skip_to(self, position: int) -> None:
        while self.position < position and not self.is_at_end:
            self.take(position - self.position)

    def close(self) -> None:
        self._stack.close()


class OpenFiles:
    """The log. All its files that aren't at their end are open: a few blocks of 2 MiB for each."""

    def __init__(self, address: RecordedFiles) -> None:
        self._address = address
        self._paths = [file.path for file in list_inputs(address.patterns)]
        self._reading: dict[str, Reading] = {}
        self._credit = 0.0
        self._counted = time.monotonic()

    def partitions(self) -> Sequence[str]:
        return self._paths

    @property
    def is_complete(self) -> bool:
        return self._address.ends

    def start(self, partition: str) -> int:  # noqa: ARG002
        return 0

    def poll(self, positions: Mapping[str, int], max_rows: int, max_bytes: int) -> Sequence[Polled]:  # noqa: ARG002
        """Rows of the file that is most behind: so files are merged by time, as far as each is in order."""
        rows = min(max_rows, self._allowed(max_rows))
        if not positions or rows < 1:
            return ()
        path, position = next(iter(positions.items()))
        reading = self._at(path, position)
        batch = pa.RecordBatch.from_pylist([], pa.schema([])) if reading.is_at_end else reading.take(rows)
        self._credit -= batch.num_rows
        polled = Polled(path, batch, reading.position, reading.is_at_end)
        if reading.is_at_end:
            self._reading.pop(path).close()
        return (polled,)

    def ends(self, partitions: Sequence[str]) -> Mapping[str, int]:
        """Not known before a file is read: as far as there can be rows."""
        return dict.fromkeys(partitions, 1 << 62)

    def backlog(self, positions: Mapping[str, int]) -> Mapping[str, int]:  # noqa: ARG002
        return {}  # what isn't finished isn't idle

    def commit(self, positions: Mapping[str, int]) -> None:
        pass  # there is nobody to tell

    def close(self) -> None:
        for reading in self._reading.values():
            reading.close()
        self._reading.clear()

    def _at(self, path: str, position: int) -> Reading:
        reading = self._reading.get(path)
        if reading is not None and reading.position > position:
            self._reading.pop(path).close()
            reading = None
        if reading is None:
            reading = self._reading[path] = Reading(path, self._address.options)
        reading.skip_to(position)
        return reading

    def _allowed(self, most: int) -> int:
        """Rows that the rate allows now: those of a second at most, and not a few at a time."""
        rate = self._address.rows_per_second
        if rate is None:
            return most
        now = time.monotonic()
        self._credit = min(max(rate, 1.0), self._credit + rate * (now - self._counted))
        self._counted = now
        return int(self._credit) if self._credit >= min(most, rate / 4) else 0
