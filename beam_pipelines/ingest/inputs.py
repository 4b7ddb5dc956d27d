"""Which files an input names, and a clear word when it names none."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.s3 import read_descriptions_once

EXTRAS = {"gs": "gcp", "s3": "aws", "azfs": "azure", "hdfs": "hadoop"}
"""Extra of apache-beam that brings the file system of a scheme."""

GLOB = re.compile(r"[*?[]")

NEAR_NAMES = 5
"""Names that an error lists of what there is."""

MAX_LISTED = 1000
"""Remote names that are looked through for one near to what isn't there."""


class InputFile(NamedTuple):
    """A file to read: its size in bytes as stored, and when it was last changed in seconds since the epoch."""

    path: str
    size: int
    modified: float | None


def list_inputs(patterns: str | Sequence[str], option: str = "--input") -> list[InputFile]:
    """Return the files that patterns name, sorted by path, each once.

    Patterns are those of Beam's file systems: `*` and `?` stop at a slash, `**` doesn't, `[ab]` is one of
    the characters. A name with such characters is also taken as it stands, when as a pattern it matches
    nothing. A folder isn't taken for the files in it. Local files must be readable; others are only listed.
    UsageError, naming the `option` that said so, when there is nothing to read.

    >>> list_inputs("no such folder/*.csv")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: --input: 'no such folder/*.csv' matches no file...
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    if not patterns:
        raise UsageError(f"{option}: no files are named: give a file or a pattern such as 'events/*.jsonl.gz'")
    found: dict[str, InputFile] = {}
    for pattern in patterns:
        try:
            matched = _match(pattern)
        except UsageError as error:
            raise UsageError(f"{option}: {error}") from error.__cause__
        for file in matched:
            same = file.path if FileSystems.get_scheme(file.path) else str(Path(file.path).absolute())
            found.setdefault(same, file)
    return sorted(found.values())


def list_now(patterns: Sequence[str]) -> list[InputFile]:
    """Return the files that patterns name now, sorted by path, each once: none is as well.

    UsageError for what can't be listed, a pattern that is a folder, or one in a folder that isn't there.
    """
    found: dict[str, InputFile] = {}
    for pattern in patterns:
        local = FileSystems.get_scheme(pattern) is None
        if pattern.endswith("/") or (local and _is(Path(pattern).is_dir)):
            raise _is_folder(pattern)
        folder = Path(GLOB.split(f"{pattern}*", maxsplit=1)[0] + "x").parent
        if local and not _is(folder.is_dir):
            raise UsageError(f"'{pattern}': there is no folder '{folder}'")
        for file in _list(pattern):
            found[file.path] = InputFile(file.path, file.size_in_bytes, file.last_updated_in_seconds or None)
    return sorted(found.values())


def open_input(path: str) -> BinaryIO:
    """Open a file for its stored bytes. UsageError if it is gone or may not be read."""
    read_descriptions_once()
    try:
        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    except PermissionError as error:
        raise UsageError(f"--input: no permission to read '{path}'") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"--input: '{path}' was there when the run listed it, and is gone") from error


def _match(pattern: str) -> list[InputFile]:
    if not pattern.strip():
        raise UsageError("an empty pattern names no files")
    local = FileSystems.get_scheme(pattern) is None
    if pattern.endswith("/") or (local and _is(Path(pattern).is_dir)):
        raise _is_folder(pattern)
    found = _list(pattern)
    # The name of a file may have "[" or "*" in it, and a pattern has no way to quote them.
    if not found and GLOB.search(pattern) and FileSystems.exists(pattern):
        found = [FileSystems.get_filesystem(pattern).metadata(pattern)]
    if not found:
        raise _no_match_local(pattern) if local else _no_match_remote(pattern)
    files = [InputFile(file.path, file.size_in_bytes, file.last_updated_in_seconds or None) for file in found]
    for file in files if local else []:
        if not os.access(file.path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
            raise UsageError(f"no permission to read '{file.path}'")
    return files


def _is(check: Callable[[], bool]) -> bool:
    """Take what may not be looked at for not being so."""
    try:
        return check()
    except PermissionError:
        return False


def _list(pattern: str, limit: int | None = None) -> list[FileMetadata]:
    # Beam lists the folder before the first wildcard, and finds nothing in the folder "".
    here = FileSystems.get_scheme(pattern) is None and "/" not in pattern
    read_descriptions_once()
    try:
        found = FileSystems.match([f"./{pattern}" if here else pattern], limits=[limit])[0].metadata_list
    except BeamIOError as error:
        raise UsageError(f"'{pattern}' can't be listed: {_causes(error)}") from error
    except ValueError as error:
        scheme = FileSystems.get_scheme(pattern) or ""
        if scheme in EXTRAS:
            hint = f" Install 'apache-beam[{EXTRAS[scheme]}]'."
        else:
            hint = " Local files are named without it." if scheme == "file" else did_you_mean(scheme, EXTRAS)
        raise UsageError(f"'{pattern}': there is no file system for {scheme}://.{hint}") from error
    if here:
        return [FileMetadata(file.path[2:], file.size_in_bytes, file.last_updated_in_seconds) for file in found]
    return found


def _causes(error: Exception) -> str:
    """Say what lies under Beam's errors, which wrap each other."""
    details = getattr(error, "exception_details", None)
    return "; ".join(_causes(cause) for cause in details.values()) if details else str(error)


def _is_folder(pattern: str) -> UsageError:
    inside = f"{pattern.rstrip('/')}/*"
    return UsageError(f"'{pattern}' is a folder: say which files in it, as in '{inside}' (or '{inside}*' below it)")


def _no_match_local(pattern: str) -> UsageError:
    """Say how far the path exists, and what there is instead."""
    folder, missing = Path(GLOB.split(f"{pattern}*", maxsplit=1)[0] + "x").parent, Path(pattern).name
    if _is(Path(pattern).is_symlink):
        return UsageError(f"'{pattern}' is a link to a file that isn't there")
    while not _is(folder.is_dir):
        if _is(folder.exists):
            return UsageError(f"'{pattern}' matches no file: '{folder}' is a file, not a folder")
        folder, missing = folder.parent, folder.name
    try:
        names = [entry.name for entry in folder.iterdir()]
    except PermissionError:
        return UsageError(f"'{pattern}' matches no file: no permission to look into '{folder}'")
    return UsageError(f"'{pattern}' matches no file.{_near(missing, names, str(folder))}")


def _no_match_remote(pattern: str) -> UsageError:
    folder, _, missing = pattern.rpartition("/")
    folder = GLOB.split(folder, maxsplit=1)[0].rstrip("/")
    try:
        if _list(f"{pattern}/*", limit=1):
            return _is_folder(pattern)
        names = [file.path.rpartition("/")[2] for file in _list(f"{folder}/*", limit=MAX_LISTED)]
    except UsageError as error:
        return error
    return UsageError(f"'{pattern}' matches no file.{_near(missing, names, folder)}")


def _near(missing: str, names: list[str], folder: str) -> str:
    if not names:
        return f" There is nothing in '{folder}'."
    near = difflib.get_close_matches(missing, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{near[0] if folder == '.' else f'{folder}/{near[0]}'}'?"
    some = ", ".join(sorted(names)[:NEAR_NAMES])
    return f" In '{folder}' there is: {some}{', …' if len(names) > NEAR_NAMES else ''}."
