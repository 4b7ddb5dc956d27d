"""HDFS, a name node and a data node in one process: `python -m scripts.hdfs install`, for tests."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import flink, processes

_POM = Path(__file__).with_name("hdfs_cluster.xml")
_MAIN = Path(__file__).with_name("HdfsCluster.java")
_SERVES = "serves\n"
USER = "etl"


def install() -> Path:
    """Return the folder of its jars, fetched first if they aren't there: 104 MB."""
    return flink.install(_POM, "hdfs")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start one whose data are in a folder, yield the options by which Beam finds it, and stop it."""
    http, rpc = processes.free_ports(2)
    log = folder / "hdfs.log"
    command = ["java", "-Xmx512m", "-cp", f"{install()}/*", str(_MAIN), str(folder), str(http), str(rpc)]
    with processes.process(command, log) as server:
        processes.wait(lambda: _SERVES in log.read_text(errors="replace"), server, folder)
        yield ["--hdfs_host=localhost", f"--hdfs_port={http}", f"--hdfs_user={USER}"]


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "hdfs-"))
