"""Toxiproxy, a proxy that makes networks slow or cuts them: `python -m scripts.toxiproxy install`, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from scripts import cache, processes

_VERSION = "v2.12.0"
_MODULE = "github.com/Shopify/toxiproxy/v2"
_INSTALL_SECONDS = 600  # compiling takes about 11 s on two idle cores


def install() -> Path:
    """Return the path of the binary, installing it first if it isn't there in this version."""
    place = cache.folder("toxiproxy")
    found = place / "server"
    with cache.locked(place):
        # Go writes into a binary what it was made of.
        if not (found.is_file() and f"\nmod\t{_MODULE}\t{_VERSION}\t".encode() in found.read_bytes()):
            subprocess.run(
                ["go", "install", f"{_MODULE}/cmd/server@{_VERSION}"],
                env=os.environ | {"GOBIN": str(place), "CGO_ENABLED": "0"},
                stdout=sys.stderr,
                timeout=_INSTALL_SECONDS,
                check=True,
            )
    return found


class Proxy:
    """A proxy from one port of localhost to another, and what it does to the connections."""

    def __init__(self, api: int, listens: int, target: int) -> None:
        self._api = f"http://localhost:{api}/proxies"
        self.port = listens
        self._ask("", {"name": "p", "listen": f"127.0.0.1:{listens}", "upstream": f"127.0.0.1:{target}"})

    def cut(self) -> None:
        """Close connections and take no new ones."""
        self._ask("/p", {"enabled": False})

    def cut_after(self, size: int) -> None:
        """Close each connection once so many bytes have gone to the server."""
        self._ask("/p/toxics", {"type": "limit_data", "attributes": {"bytes": size}, "stream": "upstream"})

    def mend(self) -> None:
        """Take connections again, without any toxic."""
        self._ask("/p", {"enabled": True})
        for toxic in json.loads(self._ask("/p/toxics")):
            self._ask(f"/p/toxics/{toxic['name']}", method="DELETE")

    def slow(self, milliseconds: int, kilobytes_a_second: int) -> None:
        """Answers come later, and no faster than so."""
        for kind, attributes in (
            ("latency", {"latency": milliseconds, "jitter": milliseconds // 2}),
            ("bandwidth", {"rate": kilobytes_a_second}),
        ):
            self._ask("/p/toxics", {"type": kind, "attributes": attributes, "stream": "downstream"})

    def _ask(self, path: str, content: object = None, method: str | None = None) -> bytes:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(  # noqa: S310  of a server on localhost
            self._api + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return bytes(answer.read())


@contextlib.contextmanager
def running(folder: Path, listens: int, target: int) -> Iterator[Proxy]:
    """Start a proxy to a port of localhost, and stop it. Its log is in the folder."""
    (api,) = processes.free_ports(1)
    command = [str(install()), "-host", "127.0.0.1", "-port", str(api)]
    with processes.process(command, folder / "toxiproxy.log") as server:
        processes.wait(lambda: processes.listens(api), server, folder)
        yield Proxy(api, listens, target)


if __name__ == "__main__":
    print(install())
