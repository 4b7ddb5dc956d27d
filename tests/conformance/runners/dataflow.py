"""The real DataflowRunner on the local Dataflow emulator: workers have only what was staged, on Prism."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beam_pipelines.dataflow_emulator import DataflowEmulator
from beam_pipelines.pubsub.connection import EMULATOR
from scripts import prism
from tests.conformance.jobs import ROOT
from tests.conformance.runners.declare import Chosen, Runner
from tests.servers.kinesis import CREDENTIALS


@contextmanager
def _start(folder: Path) -> Iterator[Chosen]:
    package = folder / "package"  # a copy, since building it leaves files beside setup.py
    package.mkdir()
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, package)
    shutil.copytree(ROOT / "beam_pipelines", package / "beam_pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    packages = [
        "adbc-driver-postgresql",
        "confluent-kafka[schemaregistry]",
        "deltalake",
        "paho-mqtt",
        "pika",
        "psycopg[binary]",
        "pyiceberg[sql-sqlite]",
        "redis",
        "scikit-learn",
    ]
    # Workers have nothing of this process: Pub/Sub's clients would look for Google's.
    told = {**CREDENTIALS, **{name: os.environ[name] for name in (EMULATOR,) if name in os.environ}}
    with DataflowEmulator(prism=prism.binary(), worker_packages=packages, worker_variables=told) as emulator:
        flags = [*emulator.flags(), "--temp_location=gs://dataflow/conformance", f"--setup_file={package}/setup.py"]
        yield Chosen(flags, emulator.environment())


RUNNER = Runner(
    "dataflow",
    "DataflowRunner, local emulator",
    _start,
    needs="Prism",
    notes={"AggregateBatches_TestStream": "the emulator runs Prism; Google's service has no TestStream"},
    job_seconds=400,
)
