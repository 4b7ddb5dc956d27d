"""A log whose partitions are files: what is appended to them is there, in whatever process looks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from beam_pipelines.columnar.provenance import PAYLOAD, RECORD_FORMAT, SOURCE_TYPE
from beam_pipelines.ingest.streams.log import Polled

SCHEMA = pa.schema(
    [
        (PAYLOAD, pa.binary()),
        ("__source", SOURCE_TYPE),
        ("__partition", pa.int32()),
        ("__position", pa.int64()),
        ("__publish_time", pa.timestamp("us", "UTC")),
    ],
    {RECORD_FORMAT: b"jsonl"},
)
END = "end"
SECOND = 1_000_000


def append(folder: Path, partition: int, *seconds: int | str) -> None:
    """Publish rows at these times, in seconds since the epoch; `end` says that nothing will follow."""
    with (folder / f"{partition}.log").open("a") as file:
        file.writelines(f"{json.dumps(each)}\n" for each in seconds)


@dataclasses.dataclass(frozen=True)
class FolderLog:
    """The address. `ends`: whether the stream ends when all partitions have. `unasked`: of these it isn't known whether
    anything waits, as of a broker that doesn't answer."""

    folder: str
    ends: bool = True
    rows_per_poll: int = 2
    unasked: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "scripted"

    def open(self, shard: int, shards: int) -> OpenFolderLog:
        return OpenFolderLog(self)


class OpenFolderLog:
    def __init__(self, address: FolderLog) -> None:
        self._address = address
        self._folder = Path(address.folder)

    def partitions(self) -> Sequence[str]:
        return sorted(path.stem for path in self._folder.glob("*.log"))

    @property
    def is_complete(self) -> bool:
        return self._address.ends

    def start(self, partition: str) -> int:
        return 0

    def poll(self, positions: Mapping[str, int], max_rows: int, max_bytes: int) -> Sequence[Polled]:
        found = []
        for partition, position in positions.items():
            rows = self._rows(partition)[position:]
            taken = rows[: min(max_rows, self._address.rows_per_poll)]
            times = [each for each in taken if each != END]
            if taken:
                finished = END in taken
                found.append(
                    Polled(partition, _batch(int(partition), position, times), position + len(taken), finished)
                )
        return found[:1]

    def ends(self, partitions: Sequence[str]) -> Mapping[str, int]:
        return {each: len(self._rows(each)) for each in partitions}

    def backlog(self, positions: Mapping[str, int]) -> Mapping[str, int]:
        known = {each: at for each, at in positions.items() if each not in self._address.unasked}
        return {each: len(self._rows(each)) - at for each, at in known.items()}

    def commit(self, positions: Mapping[str, int]) -> None:
        with (self._folder / "committed").open("a") as file:
            file.write(json.dumps(dict(positions)) + "\n")

    def close(self) -> None:
        pass

    def _rows(self, partition: str) -> list[Any]:
        return [json.loads(line) for line in (self._folder / f"{partition}.log").read_text().splitlines()]


def _batch(partition: int, position: int, times: list[int]) -> pa.RecordBatch:
    rows = [
        {
            PAYLOAD: json.dumps({"n": partition * 1000 + position + place, "at": time}).encode(),
            "__source": "scripted",
            "__partition": partition,
            "__position": position + place,
            "__publish_time": time * SECOND,
        }
        for place, time in enumerate(times)
    ]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)
