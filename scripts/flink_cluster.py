"""A standalone Flink 1.19 on this machine, with a pool of Python workers beside it.

    python -m scripts.flink_cluster     # until Ctrl-C; prints the options of a pipeline

It is what a real cluster is, at its smallest: a JobManager, a TaskManager, Beam's job server and the workers are
processes of their own, and the pipeline's process only submits. Flink listens on localhost; the job server and the
worker pool listen on all interfaces, as Beam 2.70 and 2.77 have it: keep them off open networks.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts import flink, processes

_POM = Path(__file__).with_name("flink_cluster.xml")
_ROOT = Path(__file__).parents[1]
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_SLOTS = 4
# What Flink's own scripts open for Java 17 (env.java.opts.all), as far as jobs of Beam need it.
_OPENED = [f"java.base/java.{package}" for package in ("lang", "net", "io", "nio", "text", "time", "util")]
_OPENED += ["java.base/java.lang.reflect", "java.base/java.util.concurrent"]
_JAVA = ["java", *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED)]


def install() -> Path:
    """Return the folder of its jars, fetched first if they aren't there."""
    return flink.install(_POM, "flink-cluster")


@contextlib.contextmanager
def running(folder: Path, more: Mapping[str, object] | None = None) -> Iterator[list[str]]:
    """Start a cluster, yield the options that run a pipeline on it, and stop it. Logs and data are in the folder.

    `more`: settings of Flink's beside those that it needs.

    Raises RuntimeError with the end of the log of what didn't come up.
    """
    jars = install()
    folder.mkdir(parents=True, exist_ok=True)
    rest, rpc, pool = processes.free_ports(3)
    settings = {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": rpc,
        "jobmanager.bind-host": "localhost",
        "rest.address": "localhost",
        "rest.bind-address": "localhost",
        "rest.port": rest,
        "taskmanager.host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.numberOfTaskSlots": _SLOTS,
        "parallelism.default": 1,
        # Submitting takes more than the usual 10 s on a machine that is busy with other tests.
        "pekko.ask.timeout": "120 s",
        "web.timeout": 120_000,
        "heartbeat.timeout": 180_000,
        # A process that is gone is noticed when it can't be called twice; one that is only busy has the time above.
        "heartbeat.interval": 1_000,
        "io.tmp.dirs": folder,
        # Flink's scripts work these out; a TaskManager that is started without them wants all of them.
        "taskmanager.cpu.cores": _SLOTS,
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "192m",
        "taskmanager.memory.jvm-overhead.max": "192m",
        "taskmanager.memory.task.heap.size": "512m",
        "taskmanager.memory.task.off-heap.size": "64m",
        "taskmanager.memory.managed.size": "1g",
        "taskmanager.memory.network.min": "384m",
        "taskmanager.memory.network.max": "384m",
        # Of the 512 that each shuffle of a batch takes by default: the job of all transforms has dozens of them.
        "taskmanager.network.sort-shuffle.min-buffers": "64",
        **(more or {}),
    }
    (folder / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    with contextlib.ExitStack() as stack:
        for heap, main in (("512m", _JOB_MANAGER), ("1g", _TASK_MANAGER)):
            command = [*_JAVA, f"-Xmx{heap}", "-cp", f"{jars}/*", main, "--configDir", str(folder)]
            started = stack.enter_context(processes.process(command, folder / f"{main.rpartition('.')[2]}.log"))
        processes.wait(lambda: _free_slots(rest) == _SLOTS, started, folder)
        command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={pool}"]
        # It starts each worker as `python`, and workers must find this checkout.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        workers = stack.enter_context(
            processes.process(command, folder / "workers.log", {"PATH": path, "PYTHONPATH": str(_ROOT)})
        )
        processes.wait(lambda: processes.listens(pool), workers, folder)
        server = flink.start(folder / "job-server.log", master=f"localhost:{rest}")
        stack.callback(server.stop)
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint={server.endpoint}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool}",
            "--parallelism=1",
        ]


def _free_slots(rest: int) -> int:
    try:
        with urllib.request.urlopen(f"http://localhost:{rest}/overview", timeout=5) as answer:
            return int(json.load(answer)["slots-available"])
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return 0


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "flink-cluster-"))
