"""The environments of the sides: each made once, by uv, in the cache outside the checkout."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import cache


@dataclasses.dataclass(frozen=True)
class Environment:
    """Pinned requirements; and for Java a POM whose dependencies are put into the environment's `jars`."""

    requirements: tuple[str, ...]
    with_dependencies: bool = True
    pom: str | None = None

    @property
    def versions(self) -> dict[str, str]:
        """Library → version."""
        return dict(each.split("==", 1) for each in self.requirements)


ENVIRONMENTS = {
    "beam": Environment(("apache-beam[yaml]==2.77.0", "msgspec==0.23.0", "scikit-learn==1.9.1")),
    "bytewax": Environment(("bytewax==0.21.1", "msgspec==0.23.0", "pyarrow==26.0.1")),
    "bytewax-kafka": Environment(("bytewax==0.21.1", "confluent-kafka==2.16.0")),
    "duckdb": Environment(("duckdb==2.0.1",)),
    # Flink SQL is Java: its libraries come in a package of their own, without PyFlink's old pins of Beam and pyarrow.
    "flink": Environment(("apache-flink-libraries==2.3.0",), with_dependencies=False, pom="flink_formats.xml"),
    "polars": Environment(("polars==2.1.0", "polars-hash==0.9.3")),
    "quixstreams": Environment(("quixstreams==3.28.1",)),
    "spark": Environment(("pyspark==4.3.0",)),
}
"""Beside these there is `project`: what the checkout itself is run with."""


def python(name: str) -> Path:
    """The interpreter of an environment, which is made if need be."""
    if name == "project":
        return Path(sys.executable)
    environment = ENVIRONMENTS[name]
    place = cache.folder("benchmarks") / f"{name}-{next(iter(environment.versions.values()))}"
    told = "\n".join((*environment.requirements, str(environment.pom), "compiled"))
    with cache.locked(cache.folder("benchmarks")):
        if not (place / "made").exists() or (place / "made").read_text() != told:
            _make(environment, place)
            (place / "made").write_text(told)
    return place / "bin" / "python"


def _make(environment: Environment, place: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", version, str(place)], check=True)
    dependencies = [] if environment.with_dependencies else ["--no-deps"]
    interpreter = str(place / "bin" / "python")
    # Compiled once, here: where PYTHONDONTWRITEBYTECODE is set, each run would compile Beam anew, 4 CPU seconds of it.
    command = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", interpreter, *dependencies]
    command += environment.requirements
    subprocess.run(command, check=True)
    if environment.pom:
        (place / "jars").mkdir()
        shutil.copy(Path(__file__).with_name(environment.pom), place / "pom.xml")
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
        copied = f"-DoutputDirectory={place / 'jars'}"
        subprocess.run(
            ["mvn", "-B", "-ntp", "-q", "-f", str(place / "pom.xml"), goal, copied, "-DincludeScope=runtime"],
            check=True,
        )
