"""Beam's connectors in Java for pipelines in Python: an expansion service, and a harness for the runner to start.

Assembled from thin jars by Maven, since the fat ones are images of docker or aren't where Maven looks.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from scripts import flink, processes

_POM = Path(__file__).with_name("expansion.xml")
_SERVICE = "org.apache.beam.sdk.expansion.service.ExpansionService"
_HARNESS = "org.apache.beam.fn.harness.FnHarness"

# What the image of the Java SDK does before it starts the harness. Prism names only the provision service, at whose
# address the others are too.
_BOOT = """#!/bin/sh
for each in "$@"; do
  value=$(echo "${{each#*=}}" | tr -d "'")
  case "$each" in
    --id=*) export HARNESS_ID="$value" ;;
    --provision_endpoint=*) provision="$value" ;;
    --logging_endpoint=*) logging="$value" ;;
    --control_endpoint=*) control="$value" ;;
  esac
done
export LOGGING_API_SERVICE_DESCRIPTOR="url: \\"${{logging:-$provision}}\\""
export CONTROL_API_SERVICE_DESCRIPTOR="url: \\"${{control:-$provision}}\\""
export PIPELINE_OPTIONS='{{}}'
exec java -Xmx1g -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "{jars}/*" {harness}
"""


@contextlib.contextmanager
def running(folder: Path, pom: Path = _POM, name: str = "kafka-expansion-service") -> Iterator[str]:
    """Start the service of a POM's jars, yield its address, and stop it. `name` is the jars' place in the cache."""
    jars = flink.install(pom, name)
    boot = folder / "boot"
    boot.write_text(_BOOT.format(jars=jars, harness=_HARNESS))
    boot.chmod(0o700)
    (port,) = processes.free_ports(1)
    command = [
        *("java", "-Xmx512m", "-cp", f"{jars}/*", _SERVICE, str(port), "--javaClassLookupAllowlistFile=*"),
        *("--defaultEnvironmentType=PROCESS", f"--defaultEnvironmentConfig={json.dumps({'command': str(boot)})}"),
    ]
    with processes.process(command, folder / "expansion-service.log") as service:
        processes.wait(lambda: processes.listens(port), service, folder)
        yield f"localhost:{port}"
