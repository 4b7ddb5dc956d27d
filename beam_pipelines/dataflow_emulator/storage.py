"""Cloud Storage on this machine: `gcp-storage-emulator` in a process of its own, in memory."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from beam_pipelines.dataflow_emulator import processes
from beam_pipelines.errors import UsageError

_READY_SECONDS = 20
_CALL_SECONDS = 60
_ATTEMPTS = 3


class ObjectMissingError(Exception):
    """No such object, or no such bucket."""


class StorageEmulator:
    """A Cloud Storage on loopback that lives as long as this object's process does.

    `endpoint` is what STORAGE_EMULATOR_HOST has to be. Raises UsageError when the emulator isn't
    installed or doesn't start.
    """

    def __init__(self, directory: Path, buckets: Iterable[str]) -> None:
        if importlib.util.find_spec("gcp_storage_emulator") is None:
            raise UsageError(
                "the Dataflow emulator stages files to the package gcp-storage-emulator, which is not installed here: "
                "pip install 'beam-pipelines[emulator]'"
            )
        self._directory = directory
        self.buckets = tuple(buckets)
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = ""

    def start(self) -> None:
        """Start the process, wait until it answers, and make the buckets."""
        log = self._directory / "storage.log"
        # Somebody else may take a free port before the emulator does.
        if not any(self._launch(log) for _ in range(_ATTEMPTS)):
            raise UsageError(f"gcp-storage-emulator did not start:\n{processes.tail(log)}")
        for bucket in self.buckets:
            self.make_bucket(bucket)

    def _launch(self, log: Path) -> bool:
        port = _free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        place = ["--host=127.0.0.1", f"--port={port}"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gcp_storage_emulator", "start", *place, "--in-memory", "--quiet"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
            )
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.05)
        self.stop()
        return False

    def stop(self) -> None:
        """End the process; everything stored is gone."""
        if self._process is not None:
            processes.stop(self._process)
            self._process = None

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        body = json.dumps({"name": name}).encode()
        asked = urllib.request.Request(  # noqa: S310  # http to loopback
            f"{self.endpoint}/storage/v1/b", data=body, headers={"Content-Type": "application/json"}
        )
        _fetch(asked)

    def read(self, url: str) -> bytes:
        """The content of a `gs://bucket/object`. Raises ObjectMissingError."""
        bucket, _, name = url.removeprefix("gs://").partition("/")
        path = f"{self.endpoint}/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
        try:
            return _fetch(urllib.request.Request(path))  # noqa: S310  # http to loopback
        except urllib.error.HTTPError as wrong:
            with wrong:
                if wrong.code == 404:
                    raise ObjectMissingError(url) from None
                raise

    def write(self, url: str, content: bytes) -> None:
        """Store an object; what a test or a person puts in place before a job."""
        bucket, _, name = url.removeprefix("gs://").partition("/")
        path = f"{self.endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}"
        headers = {"Content-Type": "application/octet-stream"}
        _fetch(urllib.request.Request(path, data=content, headers=headers))  # noqa: S310  # http to loopback

    def _answers(self) -> bool:
        try:
            _fetch(urllib.request.Request(self.endpoint + "/"))  # noqa: S310  # http to loopback
        except OSError:
            return False
        return True


def _fetch(asked: urllib.request.Request) -> bytes:
    # No proxy: the environment's is for the internet, not for this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(asked, timeout=_CALL_SECONDS) as answer:
        content: bytes = answer.read()
    return content


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
