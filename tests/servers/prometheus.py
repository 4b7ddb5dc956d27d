"""Prometheus and its pushgateway for tests: Debian's packages."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts import debian, processes
from tests import runners


@contextlib.contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """Start a pushgateway; yields its URL."""
    runners.need("servers")
    debian.install("prometheus-pushgateway")
    (port,) = processes.free_ports(1)
    command = ["prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{port}"]
    with processes.process(command, folder / "pushgateway.log") as running:
        processes.wait(lambda: processes.listens(port), running, folder)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """Start a Prometheus that reads one target each second; yields its URL."""
    runners.need("servers")
    debian.install("prometheus")
    (port,) = processes.free_ports(1)
    jobs = [{"job_name": "test", "honor_labels": True, "static_configs": [{"targets": [target]}]}]
    (folder / "prometheus.yml").write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    command = [
        *("prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with processes.process(command, folder / "prometheus.log") as running:
        processes.wait(lambda: processes.listens(port), running, folder)
        yield f"http://127.0.0.1:{port}"


def ask(url: str, query: str) -> list[dict[str, Any]]:
    """The answer of a Prometheus to a query; an assertion for one that it doesn't understand."""
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=30) as answer:
        content = json.load(answer)
    assert content["status"] == "success", content
    found: list[dict[str, Any]] = content["data"]["result"]
    return found


def check(exposition: str) -> None:
    """Have promtool look for what is wrong with metrics as text."""
    debian.install("prometheus")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
