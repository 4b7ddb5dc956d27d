"""W1 in Flink SQL, in batch mode: Flink's own SQL client in one process, `flink_sql.sql` in two slots.

Its JSON format drops bad lines or fails, so lines are read raw and fields are matched by path; types are told by the
line itself. It hashes text only, so its pseudonyms are of key and address in one SHA-256, half an HMAC's work.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.events.data import COUNTRIES, KINDS
from benchmarks.events.rules import KEY

_OPENED = [f"java.base/java.{package}" for package in ("lang", "net", "io", "nio", "text", "time", "util")]
_OPENED += ["java.base/java.lang.reflect", "java.base/java.util.concurrent"]
_SETTINGS = """
execution.target: local
execution.runtime-mode: BATCH
parallelism.default: 2
taskmanager.numberOfTaskSlots: 2
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
"""


def run(source: str, output: str) -> int:
    """Run the statements."""
    import pyflink

    library = Path(next(iter(pyflink.__path__)))
    jars = Path(sys.prefix) / "jars"
    text = Path(__file__).with_suffix(".sql").read_text()
    replaced = {
        "source": Path(source).absolute(),
        "output": Path(output).absolute(),
        "key": KEY.decode(),
        "countries": COUNTRIES,
        "kinds": KINDS,
    }
    for name, value in replaced.items():
        text = text.replace(f"${{{name}}}", str(value))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.yaml").write_text(_SETTINGS + f"io.tmp.dirs: {folder}\n")
        Path(folder, "w1.sql").write_text(text)
        Path(folder, "log4j.properties").write_text("rootLogger.level = OFF\n")
        opened = [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED]
        paths = f"{library}/lib/*:{library}/opt/*:{jars}/*"
        logging = f"-Dlog4j2.configurationFile={folder}/log4j.properties"
        client = ["org.apache.flink.table.client.SqlClient", "embedded", "-f", f"{folder}/w1.sql"]
        command = ["java", *opened, "-Xmx3g", logging, "-cp", paths, *client]
        environment = {**os.environ, "FLINK_CONF_DIR": folder}
        return os.waitstatus_to_exitcode(os.waitpid(os.posix_spawnp("java", command, environment), 0)[1])


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1], sys.argv[2]))
