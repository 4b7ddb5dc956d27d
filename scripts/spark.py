"""Beam's Spark job server with Spark 3.5 embedded in it, for batch: `python -m scripts.spark`, until Ctrl-C.

It prints the options of a pipeline. The job server listens on all interfaces, as Beam 2.70 has it: keep it off open
networks.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import flink, processes

_POM = Path(__file__).with_name("spark_job_server.xml")
_DRIVER = "org.apache.beam.runners.spark.SparkJobServerDriver"
# What Spark's own scripts open for Java 17 (JavaModuleOptions of Spark 3.5).
_OPENED = [f"java.{package}" for package in ("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "util")]
_OPENED += ["java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch", "sun.nio.cs", "sun.util.calendar"]


def install() -> Path:
    """Return the folder of its jars, fetched first if they aren't there."""
    return flink.install(_POM, "spark")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start a job server, yield the options that run a pipeline on it, and stop it. Its log is in the folder."""
    jars = install()
    folder.mkdir(parents=True, exist_ok=True)
    job, artifact = processes.free_ports(2)
    command = [
        *("java", "-Xmx2g", *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED)),
        *(f"-Djava.io.tmpdir={folder}", "-cp", f"{jars}/*", _DRIVER, "--spark-master-url=local[2]"),
        *("--job-host=localhost", f"--job-port={job}", f"--artifact-port={artifact}", "--expansion-port=-1"),
        f"--artifacts-dir={folder}/artifacts",
    ]
    variables = {"SPARK_LOCAL_IP": "127.0.0.1"}
    with processes.process(command, folder / "job-server.log", variables) as server:
        processes.wait(lambda: processes.listens(job), server, folder)
        yield ["--runner=PortableRunner", f"--job_endpoint=localhost:{job}", "--environment_type=LOOPBACK"]


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "spark-"))
