"""An emulator of Kinesis (kinesalite: the real service can't be had here), and what tests say to it."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import pytest

from scripts import kinesalite
from tests import runners

REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
_names = itertools.count()


class Kinesis:
    """What tests say to an emulator."""

    def __init__(self, url: str, emulator: kinesalite.Emulator | None = None) -> None:
        self.url = url
        self.emulator = emulator

    @functools.cached_property
    def client(self) -> Any:
        return boto3.client(
            "kinesis",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )

    @property
    def variables(self) -> dict[str, str]:
        """What workers are told."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL_KINESIS": self.url}

    def uri(self, stream: str, options: str = "") -> str:
        return f"kinesis://{REGION}/{stream}{f'?{options}' if options else ''}"

    def stream(self, shards: int = 1, name: str = "") -> str:
        """Make a stream and return its name."""
        name = name or f"stream-{next(_names)}"
        self.client.create_stream(StreamName=name, ShardCount=shards)
        self._wait(name)
        return name

    def put(self, stream: str, values: Sequence[bytes], keys: Sequence[str] = ()) -> None:
        """Write records; without keys, each has its own."""
        keys = keys or [str(number) for number in range(len(values))]
        records = [{"Data": value, "PartitionKey": key} for value, key in zip(values, keys, strict=True)]
        for first in range(0, len(records), 500):
            answer = self.client.put_records(StreamName=stream, Records=records[first : first + 500])
            assert not answer["FailedRecordCount"], answer

    def shards(self, stream: str) -> list[dict[str, Any]]:
        return list(self.client.list_shards(StreamName=stream)["Shards"])

    def open_shards(self, stream: str) -> list[str]:
        return [
            each["ShardId"] for each in self.shards(stream) if "EndingSequenceNumber" not in each["SequenceNumberRange"]
        ]

    def split(self, stream: str, shard: str) -> None:
        """Split a shard in the middle of its keys."""
        (found,) = [each for each in self.shards(stream) if each["ShardId"] == shard]
        start, end = (int(found["HashKeyRange"][f"{which}HashKey"]) for which in ("Starting", "Ending"))
        self.client.split_shard(StreamName=stream, ShardToSplit=shard, NewStartingHashKey=str((start + end) // 2))
        self._wait(stream)

    def merge(self, stream: str, shard: str, other: str) -> None:
        self.client.merge_shards(StreamName=stream, ShardToMerge=shard, AdjacentShardToMerge=other)
        self._wait(stream)

    def read(self, stream: str) -> list[dict[str, Any]]:
        """All records that are in a stream."""
        found: list[dict[str, Any]] = []
        for shard in self.shards(stream):
            asked = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = self.client.get_shard_iterator(**asked)["ShardIterator"]
            while iterator:
                answer = self.client.get_records(ShardIterator=iterator)
                found += answer["Records"]
                iterator = answer.get("NextShardIterator") if answer["Records"] else None
        return found

    def _wait(self, stream: str) -> None:
        until = time.monotonic() + 30
        while self.client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamStatus"] != (
            "ACTIVE"
        ):
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.fixture(scope="session")
def kinesis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kinesis]:
    """The emulator of this test process. Tests make streams of their own."""
    runners.need("servers")
    with kinesalite.running(tmp_path_factory.mktemp("kinesis")) as emulator:
        yield Kinesis(emulator.url, emulator)
