"""No permission on staging: one message, within seconds, before anything is staged."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from beam_pipelines.dataflow_emulator import DataflowEmulator
from beam_pipelines.launch import preflight
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.run import beam_options_of


class CloudStorage(ThreadingHTTPServer):
    """Answers as Cloud Storage does to an account with these permissions in every bucket; None: it may not even ask."""

    held: list[str] | None = None

    def __init__(self) -> None:
        self.written: list[str] = []
        super().__init__(("127.0.0.1", 0), _Requests)


class _Requests(BaseHTTPRequestHandler):
    server: CloudStorage

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if not url.path.endswith("/iam/testPermissions"):
            self._answer(404, {"error": {"code": 404, "message": "Not Found"}})
        elif self.server.held is None:
            self._answer(403, {"error": {"code": 403, "message": "nobody does not have storage.buckets.get access"}})
        else:
            asked = parse_qs(url.query)["permissions"]
            self._answer(200, {"permissions": [each for each in asked if each in self.server.held]})

    def do_POST(self) -> None:
        self.server.written.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(403, {"error": {"code": 403, "message": "nobody does not have storage.objects.create access"}})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def storage() -> Iterator[CloudStorage]:
    with CloudStorage() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def flags(storage: CloudStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with DataflowEmulator(run_jobs=False) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{storage.server_port}")
        yield [*emulator.flags(), "--temp_location=gs://private/temporary"]
        assert not emulator.jobs.all()


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        (None, "no storage.objects.create and no storage.objects.get in the bucket 'private'"),
        ([], "no storage.objects.create and no storage.objects.get in the bucket 'private'"),
        (["storage.objects.get"], "no storage.objects.create in the bucket 'private'"),
    ],
)
def test_no_permission_on_staging_is_one_message_and_nothing_is_tried(
    held: list[str] | None,
    missing: str,
    storage: CloudStorage,
    flags: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    storage.held = held
    started = time.monotonic()

    code = main(["run", "tests.launch.tiny", "--result", str(tmp_path / "sum"), *flags])

    assert time.monotonic() - started < preflight.LONGEST_SECONDS
    assert code == ExitCode.USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("beam-pipelines: --temp_location: 'gs://private/temporary' can't be used: ")
    assert missing in line
    assert "roles/storage.objectUser" in line
    assert storage.written == []


def test_a_staging_location_is_asked_about_under_its_own_name(storage: CloudStorage, flags: list[str]) -> None:
    storage.held = ["storage.objects.get"]

    with pytest.raises(ValueError, match=r"^--staging_location: 'gs://staged/jobs' can't be used"):
        preflight.check(beam_options_of([*flags, "--staging_location=gs://staged/jobs"]))


def test_who_has_the_permissions_goes_on(storage: CloudStorage, flags: list[str]) -> None:
    storage.held = ["storage.objects.create", "storage.objects.get", "storage.objects.delete"]

    assert preflight.check(beam_options_of(flags)) == []
