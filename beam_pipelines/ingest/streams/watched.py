"""A folder as a log: each file that comes is a partition that ends, a position is the number of rows read from it."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Container, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, TypeVar

import pyarrow as pa
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.columnar.provenance import FAILURES, raw_batch
from beam_pipelines.dead_letters import failure, failures_column
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.content import ReadOptions
from beam_pipelines.ingest.inputs import InputFile, list_now
from beam_pipelines.ingest.streams.log import Changes, Polled
from beam_pipelines.ingest.streams.recorded import Reading
from beam_pipelines.retries import Retries

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

REPLACED = "file.replaced"
"""Rule of a file that was changed after it had been read, or while it was."""

GONE = "file.gone"
"""Rule of a file that was deleted after it had been listed and before all of it was read."""

UNREADABLE = "file.refused"
"""Rule of a file that may not be read, or that no format can be read from."""

UNFINISHED = (".*", "_*", "*.tmp", "*.temp", "*.part", "*.partial", "*.crdownload", "*._COPYING_")
"""Names of files that are still being written, by the custom of who writes them: rsync, Hadoop, Spark, browsers."""

OPEN_FILES = 64
"""Files that a reader reads side by side; others wait, the oldest first."""

_OLD_SECONDS = 60.0
"""A file last changed so long ago is whole at first sight: more than clocks of machines differ."""

_END = 1 << 62
"""Position behind every file's end, which isn't known before it is read."""


@dataclasses.dataclass(frozen=True)
class WatchedFiles:
    """Files that `ReadFiles` would read, now and as they come; times are in seconds.

    The folder is listed every `every` seconds. A file is whole, and read, when it has not changed in size or time of
    change for `settled` seconds, or was last changed more than a minute ago, and its name is none of `ignore`.
    `changed`: what becomes of a file that is written anew after it was read. A file that was read and is deleted is
    remembered for `forget_after`. `bounded`: what is there now is all.
    """

    patterns: tuple[str, ...]
    options: ReadOptions = dataclasses.field(default_factory=ReadOptions)
    every: float = 10.0
    settled: float = 5.0
    ignore: tuple[str, ...] = UNFINISHED
    changed: Literal["dead_letter", "read"] = "dead_letter"
    forget_after: float = 3600.0
    bounded: bool = False
    retries: Retries = Retries()  # noqa: RUF009  immutable

    def __post_init__(self) -> None:
        if not self.patterns:
            raise UsageError("no files are named: give a pattern such as '/data/in/*.jsonl'")
        for name, least in (("every", 0.1), ("settled", 0.0), ("forget_after", 0.0)):
            if not least <= getattr(self, name) < 10**9:
                raise UsageError(f"?{name}: {getattr(self, name)} is not a number of seconds from {least:g} on")

    @property
    def name(self) -> str:
        return ",".join(self.patterns)

    def open(self, shard: int, shards: int) -> FolderLog:
        return FolderLog(self, shard, shards)


class Version(NamedTuple):
    """A file as it was when it was listed. `again`: one of its path was there before."""

    path: str
    size: int
    modified: float | None
    again: bool = False

    def __str__(self) -> str:
        """The partition's name, from which the version can be read."""
        changed = "-" if self.modified is None else f"{self.modified:.6f}"
        return f"{self.path}#{self.size}@{changed}{'!' if self.again else ''}"

    @classmethod
    def of(cls, partition: str) -> Version:
        """Read a partition's name.

        >>> str(Version.of("in/a#1.jsonl#12@1711800000.500000!"))
        'in/a#1.jsonl#12@1711800000.500000!'
        """
        path, _, told = partition.rpartition("#")
        size, _, changed = told.partition("@")
        at = changed.removesuffix("!")
        return cls(path, int(size), None if at == "-" else float(at), changed.endswith("!"))

    def is_that_of(self, other: Version) -> bool:
        """Whether both are of the same content, as far as its size and time of change tell."""
        return str(self._replace(again=False)) == str(other._replace(again=False))


class Candidates:
    """Which of the listed files are whole. Pure: listings and the readings of two clocks are arguments.

    >>> files = Candidates(settled=5, ignore=("*.tmp",))
    >>> growing, old = InputFile("in/a.jsonl", 10, 1000.0), InputFile("in/b.jsonl", 10, 900.0)
    >>> files.whole([growing, old, InputFile("in/c.tmp", 1, 0.0)], now=1000.0, clock=0.0)
    [Version(path='in/b.jsonl', size=10, modified=900.0, again=False)]
    >>> len(files.whole([growing, old], now=1005.0, clock=5.0))
    2
    """

    def __init__(self, settled: float, ignore: Sequence[str]) -> None:
        self._settled = settled
        self._ignore = ignore
        self._seen: dict[str, tuple[str, float]] = {}  # path → its version, and when that was first seen
        self.waiting = False
        """Whether a file is there that isn't whole yet."""

    @property
    def there(self) -> Container[str]:
        """Paths of all files that were listed last."""
        return self._seen

    def whole(self, listed: Sequence[InputFile], *, now: float, clock: float) -> list[Version]:
        """Files that are whole, those changed first before others. `clock` is monotonic, `now` that of file times."""
        seen, found, self.waiting = {}, [], False
        for file in listed:
            name = file.path.rpartition("/")[2]
            if any(fnmatchcase(name, pattern) for pattern in self._ignore):
                continue
            version = Version(file.path, file.size, file.modified)
            before, since = self._seen.get(file.path, ("", clock))
            seen[file.path] = (str(version), since if before == str(version) else clock)
            is_old = file.modified is not None and now - file.modified > max(_OLD_SECONDS, self._settled)
            if is_old or clock - seen[file.path][1] >= self._settled:
                found.append(version)
            else:
                self.waiting = True
        self._seen = seen
        return sorted(found, key=lambda version: (version.modified or 0.0, version.path))


class FolderLog:
    """The log of one reader's share of the files: by a hash of the path, since files have no number."""

    is_complete = False

    def __init__(self, address: WatchedFiles, shard: int = 0, shards: int = 1) -> None:
        self._address = address
        self._shard, self._shards = shard, shards
        self._candidates = Candidates(address.settled, address.ignore)
        self._listed = -1e9
        self._whole: list[Version] = []
        self._missing: dict[str, float] = {}  # partition → since when its file isn't there any more
        self._reading: dict[str, Reading] = {}

    def partitions(self) -> Sequence[str]:
        """Of a bounded log all files that are whole; young ones are waited for, as long as they may take to be."""
        self._look()
        if self._address.bounded and self._candidates.waiting:
            time.sleep(self._address.settled)
            self._listed = -1e9
            self._look()
            if self._candidates.waiting:
                _log.warning("%s: files that are being written are not read", self._address.name)
        return [str(version) for version in self._whole]

    def changes(self, known: Mapping[str, bool]) -> Changes:
        now = time.monotonic()
        if now - self._listed >= self._address.every:
            self._look()
            self._missing = {name: self._missing.get(name, now) for name in self._not_needed(known)}
        gone = [name for name, since in self._missing.items() if now - since >= self._address.forget_after]
        for name in gone:
            del self._missing[name]
        free = OPEN_FILES - sum(not finished for finished in known.values())
        new = self._new(known, free) if free > 0 and self._whole else []
        return Changes(new, [name for name in gone if name in known])

    def start(self, partition: str) -> int:  # noqa: ARG002
        return 0

    def poll(self, positions: Mapping[str, int], max_rows: int, max_bytes: int) -> Sequence[Polled]:
        """Rows of the file that is most behind, and of the next ones if that ends."""
        found: list[Polled] = []
        rows = size = 0
        for partition, position in positions.items():
            polled = self._read(partition, position, max_rows - rows)
            rows, size = rows + polled.batch.num_rows, size + polled.batch.nbytes
            found.append(polled)
            if not polled.finished or rows >= max_rows or size >= max_bytes:
                break
        return found

    def ends(self, partitions: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(partitions, _END)

    def backlog(self, positions: Mapping[str, int]) -> Mapping[str, int]:  # noqa: ARG002
        return {}  # what isn't finished isn't idle

    def commit(self, positions: Mapping[str, int]) -> None:
        pass  # files stay where they are: whoever owns the folder clears it

    def close(self) -> None:
        for reading in self._reading.values():
            reading.close()
        self._reading.clear()

    def _look(self) -> None:
        listed = self._ask(lambda: list_now(self._address.patterns))
        mine = [file for file in listed if _share_of(file.path, self._shards) == self._shard]
        self._whole = self._candidates.whole(mine, now=time.time(), clock=time.monotonic())
        self._listed = time.monotonic()

    def _not_needed(self, known: Mapping[str, bool]) -> list[str]:
        """What is known and was read of files that aren't there any more, and of those that are in another version."""
        latest: dict[str, str] = {}
        for name in sorted(known, key=lambda name: Version.of(name).modified or 0.0):
            latest[Version.of(name).path] = name
        needed = {name for path, name in latest.items() if path in self._candidates.there}
        return [name for name, finished in known.items() if finished and name not in needed]

    def _new(self, known: Mapping[str, bool], most: int) -> list[str]:
        """Files that aren't known in this version; one whose path is known in another has been changed."""
        by_path: dict[str, set[str]] = {}
        for name in known:
            version = Version.of(name)
            by_path.setdefault(version.path, set()).add(str(version._replace(again=False)))
        new: list[str] = []
        for version in self._whole:
            versions = by_path.get(version.path)
            if versions is None:
                new.append(str(version))
            elif str(version) not in versions:
                new.append(str(version._replace(again=True)))
            if len(new) >= most:
                break
        return new

    def _read(self, partition: str, position: int, rows: int) -> Polled:
        version, reading = Version.of(partition), self._reading.get(partition)
        if version.again and self._address.changed == "dead_letter":
            said = "was changed after it had been read; what it says now isn't read (?changed=read does)"
            return _refused(partition, version, position, REPLACED, said)
        if reading is not None and reading.position > position:
            self._reading.pop(partition).close()
            reading = None
        if reading is None:
            trouble = self._ask(lambda: _trouble(version))
            if trouble is not None:
                rule, said = trouble
                return _refused(partition, version, position, rule, f"{said}; {position} rows of it had been read")
            try:
                reading = self._reading[partition] = Reading(version.path, self._address.options)
            except UsageError as wrong:
                return _refused(partition, version, position, UNREADABLE, str(wrong).removeprefix("--input: "))
        reading.skip_to(position)
        batch = _NOTHING if reading.is_at_end else reading.take(rows)
        polled = Polled(partition, batch, reading.position, reading.is_at_end)
        if reading.is_at_end:
            self._reading.pop(partition).close()
        return polled

    def _ask(self, question: Callable[[], _T]) -> _T:
        """Ask the file system, which may be one of another machine."""
        scheme = FileSystems.get_scheme(self._address.patterns[0]) or "file"
        return self._address.retries.call(question, f"{scheme}://", _passes)


def _passes(error: Exception) -> bool:
    """Whether trouble with a file system may pass: it doesn't tell what is wrong in one way for all."""
    return not isinstance(error, UsageError) or isinstance(error.__cause__, BeamIOError)


_NOTHING = pa.RecordBatch.from_pylist([], pa.schema([]))


def _share_of(path: str, shards: int) -> int:
    """Which reader has a file, in whatever process it is asked."""
    return int.from_bytes(hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()) % shards


def _trouble(version: Version) -> tuple[str, str] | None:
    """Why a file can't be read as it was listed: the rule, and what is to be said."""
    if not FileSystems.exists(version.path):
        return GONE, "was deleted before all of it was read"
    now = FileSystems.get_filesystem(version.path).metadata(version.path)
    found = Version(version.path, now.size_in_bytes, now.last_updated_in_seconds or None)
    return None if found.is_that_of(version) else (REPLACED, "was changed before all of it was read")


def _refused(partition: str, version: Version, position: int, rule: str, said: str) -> Polled:
    """What stands for a file that can't be read: one dead letter without a payload."""
    _log.error("%s %s", version.path, said)
    batch = raw_batch(pa.nulls(1, pa.binary()), version.path, pa.array([position], pa.int64()))
    told = failures_column([[failure(rule, None, None, said if version.path in said else f"{version.path}: {said}")]])
    return Polled(partition, batch.append_column(FAILURES, told), position + 1, True)
