"""Files of a lake on any Beam file system.

Ordinary local paths are handled by the operating system's own calls, which are atomic where it
counts and need no import of Beam; any path with a scheme (`gs://`, `s3://`, `hdfs://`) goes through
`apache_beam.io.filesystems.FileSystems`. On S3 and Google Cloud Storage `write_if_absent` and `publish` of a small
file use the store's own precondition (`preconditions`); elsewhere they look before they write: two attempts at the
same moment can both find nothing.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from beam_pipelines.s3 import read_descriptions_once
from beam_pipelines.sink.preconditions import create_if_absent

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MOVED_AT_ONCE = 100
"""Files in one rename call to a remote file system: what GCS takes in one batch request."""

LOCK_SECONDS = 300
"""Longest wait for another process that publishes the same run: renaming 100,000 files takes seconds."""

SMALL_BYTES = 16 << 20
"""A manifest is smaller; a larger file is copied by the store itself, which no precondition guards."""

_LOCK_PAUSE = 0.05  # seconds between two looks

_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def is_local(path: str) -> bool:
    """True for a path of the operating system, False for one with a scheme."""
    return "://" not in path


def root_of(output: str) -> str:
    """Return an output folder in the one form used from here on: absolute if local, no slash at its end.

    >>> root_of("gs://bucket/lake/"), root_of("/data/../lake")
    ('gs://bucket/lake', '/lake')
    """
    output = output.removeprefix("file://")
    return os.path.abspath(output) if is_local(output) else output.rstrip("/")  # noqa: PTH100  pathlib keeps `..`


def parent_of(path: str) -> str:
    """The folder that holds a path."""
    return path.rpartition("/")[0]


def create(path: str) -> IO[bytes]:
    """Open a new file for writing; folders above it are made."""
    if is_local(path):
        while True:
            with contextlib.suppress(FileNotFoundError):  # another attempt swept the folder in between
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                return open(path, "xb")  # noqa: PTH123
    from apache_beam.io.filesystem import CompressionTypes

    file: IO[bytes] = _remote().create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return file


def open_to_read(path: str) -> IO[bytes]:
    """Open a file for reading, as its bytes are. FileNotFoundError when there is none."""
    if is_local(path):
        return open(path, "rb")  # noqa: PTH123
    from apache_beam.io.filesystem import CompressionTypes

    if not exists(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    file: IO[bytes] = _remote().open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return file


def read(path: str) -> bytes | None:
    """Return a file's bytes, or None when there is no such file."""
    try:
        with open_to_read(path) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def exists(path: str) -> bool:
    """True when the path is there."""
    if is_local(path):
        return os.path.lexists(path)
    from apache_beam.io.filesystem import BeamIOError

    try:
        return bool(_remote().exists(path))
    except BeamIOError as error:
        # Azure's file system (Beam 2.77) says so of what isn't there.
        codes = [getattr(each, "code", None) for each in (error.exception_details or {}).values()]
        if not codes or any(code != 404 for code in codes):
            raise
        return False


def write(path: str, content: bytes, scratch: str) -> None:
    """Write or replace a file; a local reader sees the old content or the new. `scratch` is a folder
    of the same file system where a killed process may leave something."""
    if not is_local(path):
        with create(path) as file:
            file.write(content)
        return
    with _scratch_file(content, scratch) as waiting:
        Path(waiting).replace(path)


def write_if_absent(path: str, content: bytes, scratch: str) -> bool:
    """Write a file unless it is there, and say whether it was written.

    Local: exclusive, and never seen half written. S3 and GCS: exclusive. Other remote ones: looks first, then writes.
    """
    if not is_local(path):
        created = create_if_absent(path, content)
        if created is not None:
            return created
        if exists(path):
            return False
        with create(path) as file:
            file.write(content)
        return True
    with _scratch_file(content, scratch) as waiting:
        return _link(waiting, path)


def publish(source: str, destination: str) -> bool:
    """Give a file a second name unless that is taken, and say whether it was given.

    FileNotFoundError when the source isn't there. Local: a hard link, so it is exclusive; where the
    file system has none, and remote: looks first, then copies, a small file exclusively where `write_if_absent` is.
    """
    if is_local(destination):
        return _link(source, destination)
    if exists(destination):
        return False
    if not exists(source):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
    if _remote().match([source])[0].metadata_list[0].size_in_bytes <= SMALL_BYTES:
        created = create_if_absent(destination, read(source) or b"")
        if created is not None:
            return created
    _remote().copy([source], [destination])
    return True


def move(pairs: Sequence[tuple[str, str]]) -> Iterator[int]:
    """Move files from the first to the second name of each pair; yields how many have been moved.

    A file that is at its destination and no longer at its source is already moved.
    FileNotFoundError when one is at neither.
    """
    step = 1 if pairs and is_local(pairs[0][1]) else MOVED_AT_ONCE
    for start in range(0, len(pairs), step):
        chunk = pairs[start : start + step]
        if is_local(chunk[0][1]):
            for source, destination in chunk:
                _move_local(source, destination)
        else:
            _move_remote(chunk)
        yield start + len(chunk)


def rename(source: str, destination: str) -> bool:
    """Rename one file, replacing what is there. False when there is no source."""
    if not exists(source):
        return False
    if is_local(source):
        try:
            Path(source).replace(destination)
        except FileNotFoundError:
            return False
    else:
        _remote().rename([source], [destination])
    return True


def delete(path: str) -> None:
    """Delete a file if it is there."""
    if is_local(path):
        Path(path).unlink(missing_ok=True)
    elif exists(path):
        _remote().delete([path])


def discard(path: str) -> None:
    """Delete what is only garbage; if that fails it stays."""
    with contextlib.suppress(Exception):
        delete(path)


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """Hold a folder, which is made if need be, against others who ask to hold it; a killed process lets go.

    TimeoutError after waiting for five minutes. Remote file systems, and local ones that can't lock
    folders (some network mounts), let everybody in.
    """
    if not is_local(folder) or fcntl is None:
        yield
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        _lock(held, folder)
        yield
    finally:
        os.close(held)


def delete_below(folder: str) -> None:
    """Delete a folder with all that is in it, as far as that is possible: what stays is only garbage."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        found = list_below(folder)
        if found:
            _remote().delete(found)


def list_below(folder: str) -> list[str]:
    """Paths of all files somewhere below a folder, sorted; none when it isn't there."""
    if is_local(folder):
        return sorted(f"{place}/{name}" for place, _, names in os.walk(folder) for name in names)
    return sorted(found.path for found in _remote_below(folder))


def list_with_facts(folder: str) -> list[tuple[str, int, float | None]]:
    """Path below the folder, bytes and time of the last change (seconds since 1970, if known) of all files below it."""
    if is_local(folder):
        found = [(path, Path(path).stat()) for path in list_below(folder)]
        return [(path.removeprefix(f"{folder}/"), facts.st_size, facts.st_mtime) for path, facts in found]
    return sorted(
        (each.path.removeprefix(f"{folder}/"), each.size_in_bytes, each.last_updated_in_seconds)
        for each in _remote_below(folder)
    )


def any_file_below(folder: str) -> bool:
    """True when at least one file is somewhere below the folder."""
    if is_local(folder):
        return any(names for _, _, names in os.walk(folder))
    return bool(_remote_below(folder, 1))


def _remote_below(folder: str, limit: int | None = None) -> list[Any]:
    system = _remote().get_filesystem(folder)
    if hasattr(system, "_hdfs_client"):
        return list(itertools.islice(_on_hdfs(system, folder), limit))
    found: list[Any] = system.match([f"{folder}/**"], limits=[limit])[0].metadata_list
    return found


def _on_hdfs(system: Any, folder: str) -> Iterator[Any]:
    """What is below a folder: Beam's own listing of HDFS (2.77) goes no deeper than one, and tells folders as files."""
    from apache_beam.io.filesystem import FileMetadata

    if not exists(folder):
        return
    _, path = system._parse_url(folder)
    for (place, _), _, files in system._hdfs_client.walk(path, status=True):
        for name, told in files:
            changed = told["modificationTime"] / 1000
            yield FileMetadata(f"{folder[: -len(path)]}{place}/{name}", told["length"], changed)


def _lock(held: int, folder: str) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while not _is_locked(held):
        if time.monotonic() > until:
            raise TimeoutError(errno.ETIMEDOUT, "another process is publishing the same run", folder)
        time.sleep(_LOCK_PAUSE)


def _is_locked(held: int) -> bool:
    """Try to lock; also True where the file system can't lock folders."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _remote() -> Any:
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.value_provider import RuntimeValueProvider

    if FileSystems._pipeline_options is None and not RuntimeValueProvider.runtime_options:
        # No pipeline has said how, as on a command line: S3's file system asks for options, if only empty ones.
        FileSystems.set_options(PipelineOptions([]))
    read_descriptions_once()
    return FileSystems


def delete_if_empty(folder: str) -> None:
    """Delete a folder that has nothing in it; on remote file systems such a one isn't there."""
    if is_local(folder):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


@contextlib.contextmanager
def _scratch_file(content: bytes, scratch: str) -> Iterator[str]:
    waiting = f"{scratch}/{secrets.token_hex(8)}"
    with create(waiting) as file:
        file.write(content)
    try:
        yield waiting
    finally:
        delete(waiting)


def _link(source: str, destination: str) -> bool:
    Path(destination).parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, destination)
    except FileExistsError:
        return False
    except OSError as refused:
        if refused.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(destination):
            return False
        copy = f"{source}.{secrets.token_hex(4)}"
        shutil.copyfile(source, copy)
        Path(copy).replace(destination)
    return True


def _move_local(source: str, destination: str) -> None:
    Path(destination).parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(source, destination)  # noqa: PTH104
    except FileNotFoundError:
        if not os.path.lexists(destination):
            raise


def _move_remote(pairs: Iterable[tuple[str, str]]) -> None:
    waiting = [(source, destination) for source, destination in pairs if not _is_moved(source, destination)]
    if not waiting:
        return
    remote = _remote()
    if remote.get_filesystem(waiting[0][1]).has_dirs():
        for folder in {parent_of(destination) for _, destination in waiting}:
            if not remote.exists(folder):
                with contextlib.suppress(OSError):  # another attempt made it; if not, the rename says so
                    remote.mkdirs(folder)
    try:
        remote.rename([source for source, _ in waiting], [destination for _, destination in waiting])
    except OSError:
        # Another attempt of the run may have been faster with some of them.
        if not all(_is_moved(source, destination) for source, destination in waiting):
            raise


def _is_moved(source: str, destination: str) -> bool:
    """FileNotFoundError when the file is at neither place."""
    if exists(source):
        return False
    if not exists(destination):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
    return True
