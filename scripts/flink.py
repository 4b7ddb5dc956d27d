"""Beam's Flink job server with Flink 1.19 embedded in it: `python -m scripts.flink start | stop | status | install`.

    beam-pipelines run … --runner=PortableRunner --environment_type=LOOPBACK --parallelism=1 \\
        --job_endpoint="$(python -m scripts.flink start)"
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

from scripts import cache

_POM = Path(__file__).with_name("flink_job_server.xml")
_DRIVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_READY = re.compile(r"JobService started on (?P<endpoint>\S+:\d+)\s")
_INSTALL_SECONDS = 1200  # 163 jars, 157 MB: about 60 s when the network is quick
_START_SECONDS = 120  # ready within 2 s on an idle machine
_STOP_SECONDS = 10
_HEAP = "2g"  # of the whole embedded cluster; a test's job takes a few hundred MB


@dataclasses.dataclass(frozen=True)
class JobServer:
    """A running job server: where it takes jobs, its process, and its log."""

    endpoint: str
    pid: int
    log: str

    def is_running(self) -> bool:
        """Whether the process is there and is the one that was started: ids come round again."""
        try:
            # A process that ended, but whose parent hasn't asked yet, has no command line.
            return _DRIVER in Path(f"/proc/{self.pid}/cmdline").read_text()
        except OSError:
            return False

    def stop(self) -> None:
        """End the process, by its id, and wait until it is gone."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_running():
                return
            os.kill(self.pid, number)
            until = time.monotonic() + _STOP_SECONDS
            while self.is_running() and time.monotonic() < until:
                time.sleep(0.05)


def install(pom: Path = _POM, name: str = "flink") -> Path:
    """Return the folder of jars, fetching them with Maven first if they aren't those of the pom.

    `name` is their place in the cache.
    """
    place = cache.folder(name)
    jars, installed = place / "lib", place / "pom.xml"
    with cache.locked(place):
        if not (jars.is_dir() and installed.is_file() and _same(installed, pom)):
            _fetch(pom, place, jars, installed)
    return jars


def _same(one: Path, other: Path) -> bool:
    first, second = (ElementTree.canonicalize(from_file=str(path), strip_text=True) for path in (one, other))
    return first == second


def _fetch(pom: Path, place: Path, jars: Path, installed: Path) -> None:
    print(f"fetching {pom.stem} into {place} (about a minute)", file=sys.stderr, flush=True)
    arriving = place / "arriving"
    shutil.rmtree(arriving, ignore_errors=True)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={arriving}", "-DincludeScope=runtime"]
    subprocess.run(
        ["mvn", "-B", "-ntp", "-q", "-f", str(pom), *goal], stdout=sys.stderr, timeout=_INSTALL_SECONDS, check=True
    )
    installed.unlink(missing_ok=True)
    shutil.rmtree(jars, ignore_errors=True)
    arriving.rename(jars)
    shutil.copyfile(pom, installed)


def start(log: Path, port: int = 0, master: str = "[local]") -> JobServer:
    """Start a job server of one's own and wait until it takes jobs.

    `port` 0 takes a free one; `master` is the REST address of a cluster, or the embedded one.
    Raises RuntimeError with the end of the log when it doesn't come up.
    The server listens on all interfaces, whatever `--job-host` says (Beam 2.70): keep it off open networks.
    """
    jars = install()
    command = [
        *("java", f"-Xmx{_HEAP}", "-cp", f"{jars}/*", _DRIVER, f"--flink-master={master}", "--job-host=localhost"),
        *(f"--job-port={port}", "--artifact-port=0", "--expansion-port=-1", f"--artifacts-dir={log.parent}/artifacts"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    until = time.monotonic() + _START_SECONDS
    while not (ready := _READY.search(log.read_text(errors="replace"))):
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            process.wait()
            raise RuntimeError(f"the Flink job server didn't start; the end of {log}:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    # The process may outlive this one: it is ended by its id.
    process.returncode = 0
    return JobServer(ready["endpoint"], process.pid, str(log))


def _running() -> JobServer | None:
    """The job server that `start` on the command line left running."""
    try:
        server = JobServer(**json.loads((cache.folder("flink") / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return server if server.is_running() else None


def main() -> int:
    """`start` prints the endpoint, also of one that runs already; `status` exits with 1 when none does."""
    parser = argparse.ArgumentParser(prog="python -m scripts.flink", description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "status", "install"))
    parser.add_argument("--port", type=int, default=0, help="port of the job service; default: a free one")
    asked = parser.parse_args()
    place = cache.folder("flink")
    server = _running()
    if asked.action == "install":
        print(install())
    elif asked.action == "start":
        if server is None:
            server = start(place / "server.log", asked.port)
            (place / "server.json").write_text(json.dumps(dataclasses.asdict(server)))
        print(server.endpoint)
    elif asked.action == "stop":
        if server is not None:
            server.stop()
        (place / "server.json").unlink(missing_ok=True)
    else:
        print(server.endpoint if server else "not running")
        return 0 if server else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
