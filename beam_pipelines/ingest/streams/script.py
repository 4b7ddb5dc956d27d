"""A stream that is written down: rows, and how far the watermark and the clock move between them, in a file.

Each line is one step, as JSON: `{"payloads": ["…", "…"]}`, `{"watermark": MICROSECONDS}` or `{"pass": SECONDS}`. The
log made of it has one partition, whose watermark is what its steps say, whatever the rows' event times are.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa

from beam_pipelines.columnar.provenance import RECORD_FORMAT, raw_batch
from beam_pipelines.ingest.inputs import open_input
from beam_pipelines.ingest.streams.log import Polled

PARTITION = "script"
_PAUSES_AT_END = 4
"""Polls, each about a second after the other."""

_NOTHING = pa.RecordBatch.from_arrays([], schema=pa.schema([]))


@dataclasses.dataclass(frozen=True)
class Rows:
    """Records come, in one batch, as bytes of the source would be."""

    payloads: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class WatermarkAt:
    """No row earlier than this is to be expected: microseconds since the epoch."""

    micros: int


@dataclasses.dataclass(frozen=True)
class Passing:
    """So many seconds pass by the clock."""

    seconds: float


Step: TypeAlias = Rows | WatermarkAt | Passing


def script_text(steps: Iterable[Step]) -> str:
    """Write steps down.

    >>> script_text([Rows(("a",)), WatermarkAt(5)])
    '{"payloads": ["a"]}\\n{"watermark": 5}\\n'
    """
    return "".join(f"{json.dumps(_content(step), ensure_ascii=False)}\n" for step in steps)


def read_script(path: str) -> list[Step]:
    """Read what `script_text` wrote, from any file system of Beam's."""
    with open_input(path) as file:
        return [_step(json.loads(line)) for line in file.read().decode().split("\n") if line]


def batches_of(steps: Sequence[Step], format: str) -> dict[int, pa.RecordBatch]:
    """The raw batch of each step with rows, by its number. Rows are numbered as they come: that is `__position`."""
    found, first = {}, 0
    for number, step in enumerate(steps):
        if isinstance(step, Rows):
            payloads = pa.array([payload.encode() for payload in step.payloads], pa.binary())
            positions = pa.array(range(first, first + len(payloads)), pa.int64())
            found[number] = raw_batch(payloads, PARTITION, positions, {RECORD_FORMAT: format.encode()})
            first += len(payloads)
    return found


@dataclasses.dataclass(frozen=True)
class ScriptLog:
    """The address of a script. `format` says what payloads are: jsonl or csv (without a header)."""

    path: str
    format: str = "jsonl"

    @property
    def name(self) -> str:
        return PARTITION

    def open(self, shard: int, shards: int) -> OpenScript:  # noqa: ARG002  it has one partition
        return OpenScript(self)


class OpenScript:
    """The log. A position is the number of the next step."""

    def __init__(self, address: ScriptLog) -> None:
        self._steps = read_script(address.path)
        self._batches = batches_of(self._steps, address.format)
        self._paused: Counter[int] = Counter()

    def partitions(self) -> Sequence[str]:
        return (PARTITION,)

    @property
    def is_complete(self) -> bool:
        return True

    def start(self, partition: str) -> int:  # noqa: ARG002
        return 0

    def poll(self, positions: Mapping[str, int], max_rows: int, max_bytes: int) -> Sequence[Polled]:  # noqa: ARG002
        """One step. Behind one that moves the watermark, and before the end, there is nothing for some polls.

        So the runner hears of it, and rounds of timers that rows wait for pass (`window.late_rows`): Flink ends a
        stream without them.
        """
        position = positions.get(PARTITION, len(self._steps))
        ends = position >= len(self._steps)
        pauses = _PAUSES_AT_END if ends else 0 if isinstance(self._steps[max(0, position - 1)], Rows) else 1
        if position and self._paused[position] < pauses:
            self._paused[position] += 1
            return ()
        if ends:
            return (Polled(PARTITION, _NOTHING, position, finished=True),)
        step = self._steps[position]
        batch = self._batches.get(position, _NOTHING)
        return (
            Polled(PARTITION, batch, position + 1, watermark=step.micros if isinstance(step, WatermarkAt) else None),
        )

    def ends(self, partitions: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(partitions, len(self._steps))

    def backlog(self, positions: Mapping[str, int]) -> Mapping[str, int]:  # noqa: ARG002
        return {}  # what isn't finished isn't idle

    def commit(self, positions: Mapping[str, int]) -> None:
        pass  # there is nobody to tell

    def close(self) -> None:
        pass


def _content(step: Step) -> dict[str, object]:
    match step:
        case Rows(payloads):
            return {"payloads": payloads}
        case WatermarkAt(micros):
            return {"watermark": micros}
        case Passing(seconds):
            return {"pass": seconds}


def _step(content: Mapping[str, object]) -> Step:
    match content:
        case {"payloads": list(payloads)}:
            return Rows(tuple(payloads))
        case {"watermark": int(micros)}:
            return WatermarkAt(micros)
        case {"pass": int() | float() as seconds}:
            return Passing(float(seconds))
    raise ValueError(f"not a step of a script: {', '.join(content)}")
