"""A Redis for tests, of Debian's package, that keeps what it has answered for when it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as client

from scripts import processes
from scripts.kafka import PASSWORD
from tests import runners


class Redis:
    """A server on a port of this machine. Tests have databases of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (self.port,) = processes.free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        (folder / "redis.conf").write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {folder}\ndatabases 64\nsave ''\n"
            "appendonly yes\nappendfsync always\nenable-debug-command local\n"
            "user default on nopass ~* &* +@all\n"
            f"user shop on >{PASSWORD} ~* &* +@all\nuser reader on >{PASSWORD} ~* &* +@read +@connection\n"
        )

    def start(self) -> None:
        log = (self._folder / "redis.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                ["redis-server", "redis.conf"], cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        processes.wait(lambda: processes.listens(self.port), self._process, self._folder)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, how)
            self._process.wait(30)

    def connect(self, database: int) -> Any:
        return client.Redis("127.0.0.1", self.port, database)

    def uri(self, database: int, options: str, user: str = "") -> str:
        return f"redis://{f'{user}@' if user else ''}127.0.0.1:{self.port}/{database}?{options}"


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """The server of this test process."""
    runners.need("servers")
    server = Redis(tmp_path_factory.mktemp("servers") / "redis")
    server.start()
    try:
        yield server
    finally:
        server.stop()
