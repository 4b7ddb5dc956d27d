"""The Flink Kubernetes operator's own schema of a FlinkDeployment, fetched once with Maven, outside the checkout.

python -m scripts.flink_operator      # prints where it is
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from scripts import cache

VERSION = "1.10.0"
_ARTIFACT = f"org.apache.flink:flink-kubernetes-operator-api:{VERSION}"
_SCHEMA = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"
_INSTALL_SECONDS = 300


def schema() -> Path:
    """Return the CustomResourceDefinition as a file of YAML."""
    place = cache.folder(f"flink-operator-{VERSION}")
    found = place / "flinkdeployments.yaml"
    with cache.locked(place):
        if not found.is_file():
            words = [
                "mvn",
                "-B",
                "-ntp",
                "-q",
                "dependency:copy",
                f"-Dartifact={_ARTIFACT}",
                f"-DoutputDirectory={place}",
            ]
            subprocess.run(words, cwd=place, stdout=sys.stderr, timeout=_INSTALL_SECONDS, check=True)
            [jar] = place.glob("*.jar")
            with zipfile.ZipFile(jar) as opened:
                found.write_bytes(opened.read(_SCHEMA))
            jar.unlink()
    return found


if __name__ == "__main__":
    print(schema())
