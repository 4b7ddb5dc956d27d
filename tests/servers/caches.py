"""Redis and memcached for tests, of Debian, each on a port of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import debian, processes
from scripts.kafka import PASSWORD
from tests import runners


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """A Redis without a disk; user `shop` has a password. Yields its port."""
    runners.need("servers")
    debian.install("redis-server")
    (port,) = processes.free_ports(1)
    settings = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    user = ["--user", "shop", "on", f">{PASSWORD}", "~*", "+@all"]
    with processes.process(["redis-server", *settings, *user], folder / "redis.log") as server:
        processes.wait(lambda: processes.listens(port), server, folder)
        yield port


@contextlib.contextmanager
def memcached_server(folder: Path) -> Iterator[int]:
    """A memcached. Yields its port."""
    runners.need("servers")
    debian.install("memcached")
    (port,) = processes.free_ports(1)
    command = ["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "nobody", "-m", "16"]
    with processes.process(command, folder / "memcached.log") as server:
        processes.wait(lambda: processes.listens(port), server, folder)
        yield port


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of this test process's Redis."""
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="session")
def memcached_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of this test process's memcached."""
    with memcached_server(tmp_path_factory.mktemp("memcached")) as port:
        yield port
