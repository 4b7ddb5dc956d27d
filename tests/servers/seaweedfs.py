"""SeaweedFS for tests: an S3 store that asks for credentials, found by the environment as AWS's tools find theirs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import boto3
import pytest

from scripts import seaweedfs
from tests import runners

_names = itertools.count()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweedfs.Store]:
    """The store of this test process."""
    runners.need("servers")
    with seaweedfs.store(tmp_path_factory.mktemp("seaweedfs") / "data") as running:
        yield running


@pytest.fixture
def bucket(s3: seaweedfs.Store, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own, as `s3://NAME`; this process has the credentials."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_names)}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"
