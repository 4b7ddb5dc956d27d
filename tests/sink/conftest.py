"""A remote file system for tests: Beam's interface over a local folder, with no links and no locks."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from apache_beam.io.filesystem import FileMetadata, FileSystem
from apache_beam.io.localfilesystem import LocalFileSystem

from beam_pipelines.sink import RunIdentity

SCHEME = "bucket://"


class BucketFileSystem(FileSystem):
    """`bucket:///tmp/x` is the object whose bytes are in `/tmp/x`."""

    def __init__(self, pipeline_options):
        super().__init__(pipeline_options)
        self._plain = LocalFileSystem(pipeline_options)

    @classmethod
    def scheme(cls):
        return "bucket"

    def has_dirs(self):
        return False

    def _local(self, path):
        assert path.startswith(SCHEME), path
        return path.removeprefix(SCHEME)

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path):
        return tuple(path.rsplit("/", 1))

    def mkdirs(self, path):
        raise AssertionError("a bucket has no folders")

    def _list(self, dir_or_prefix):
        for found in self._plain._list(self._local(dir_or_prefix)):
            yield FileMetadata(SCHEME + found.path, found.size_in_bytes, found.last_updated_in_seconds)

    def create(self, path, *args, **kwargs):
        return self._plain.create(self._local(path), *args, **kwargs)

    def open(self, path, *args, **kwargs):
        return self._plain.open(self._local(path), *args, **kwargs)

    def exists(self, path):
        return self._plain.exists(self._local(path))

    def size(self, path):
        return self._plain.size(self._local(path))

    def last_updated(self, path):
        return self._plain.last_updated(self._local(path))

    def checksum(self, path):
        return self._plain.checksum(self._local(path))

    def metadata(self, path):
        found = self._plain.metadata(self._local(path))
        return FileMetadata(path, found.size_in_bytes, found.last_updated_in_seconds)

    def copy(self, sources, destinations):
        for destination in destinations:
            self._plain.create(self._local(destination)).close()  # makes the folders, as a bucket needs none
        self._plain.copy([self._local(each) for each in sources], [self._local(each) for each in destinations])

    def rename(self, sources, destinations):
        self.copy(sources, destinations)
        self.delete(sources)

    def delete(self, paths):
        self._plain.delete([self._local(each) for each in paths])


@pytest.fixture(params=["local", "remote"])
def lake(request, tmp_path) -> str:
    """The root of a lake on either kind of file system; see `local_path`."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return str(folder) if request.param == "local" else f"{SCHEME}{folder}"


@pytest.fixture
def run() -> RunIdentity:
    return RunIdentity("run-1", "orders", "f1", started=datetime(2013, 1, 1, tzinfo=timezone.utc))
