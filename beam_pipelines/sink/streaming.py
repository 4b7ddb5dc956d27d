"""The end of a stream's bundles: what they wrote is published when the runner can't take it back any more."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import apache_beam as beam
from apache_beam.coders import StrUtf8Coder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.sink import live_numbers, stream_commits
from beam_pipelines.sink.care import tending
from beam_pipelines.sink.folder_writer import WrittenFile
from beam_pipelines.sink.runs import RunIdentity
from beam_pipelines.sink.stream_commits import StreamRecord
from beam_pipelines.sink.tables.table import Table

_KEY = b"run"
_WAITS, _LASTS, _ENDS = "waits", "lasts", "ends"
"""What is known of records: their bundle may be taken back; they are in a checkpoint; they are all that remains."""

_log = logging.getLogger(__name__)

_Said = tuple[str, list[str]]


class _Process:
    """What this process knows of records by their ids: a runner may make a DoFn anew for every bundle."""

    seen: set[str] = set()  # noqa: RUF012  the process's, on purpose
    """Came here as new: until they are published they may be taken back."""
    done: set[str] = set()  # noqa: RUF012
    failed: set[str] = set()  # noqa: RUF012
    finalized: set[tuple[str, str]] = set()  # noqa: RUF012
    """Runs (output, id) of which the runner has called back after a bundle: it does so when the bundle lasts."""


class CommitStream(beam.PTransform):
    """What `FinalizeRun` is for a stream: (files, ledgers) → PCollection[str], the manifest as JSON if the stream ends.

    Exactly once where the runner restores state and source together (Flink with checkpoints): a bundle's record is
    kept in state and published when the runner finalises the bundle, that is when a checkpoint holds it. What is
    found in state after a restart was in a checkpoint and is published then. Files of bundles that were taken back
    are named by no record. Readers see a bundle's files about one checkpoint interval later.

    On a runner that never finalises bundles (Flink without checkpoints) all is published at the end of the stream.
    With `compact_every` the process that publishes makes few files of many, so many seconds after it published; readers
    who follow manifests and records (`lake files`) see each row once all the while.
    At the end the balance is checked, as FinalizeRun does; BalanceError fails the job.
    """

    def __init__(
        self,
        output: str,
        run: RunIdentity,
        tables: Mapping[str, Table],
        compact_every: float | None,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__()
        self._output = output
        self._run = run
        self._tables = tables
        self._compact_every = compact_every
        self._clock = clock

    def expand(
        self, inputs: tuple[tuple[beam.PCollection, ...], tuple[beam.PCollection[LedgerEntry], ...]]
    ) -> beam.PCollection[str]:
        files, ledgers = inputs
        stream_commits.refuse_begun(self._output, self._run.run_id)
        pipeline = next(each.pipeline for each in (*files, *ledgers))
        parts = [pipeline | "Once" >> beam.Create([("seed", "")]).with_output_types(tuple[str, str])]
        for kind, collections in (("file", files), ("entry", ledgers)):
            for number, each in enumerate(collections):
                parts.append(
                    each
                    | f"InOneWindow {kind} {number}" >> beam.WindowInto(GlobalWindows())
                    | f"AsText {kind} {number}"
                    >> beam.ParDo(_AsText(kind, self._output, self._run.run_id)).with_output_types(tuple[str, str])
                )
        return (
            parts
            | "Parts" >> beam.Flatten()
            | "Records" >> beam.ParDo(_Records()).with_output_types(tuple[bytes, str])
            | "Keep" >> beam.ParDo(_Keep()).with_output_types(_Said)
            | "Publish"
            >> beam.ParDo(
                _Publish(self._output, self._run, self._tables, self._compact_every, self._clock)
            ).with_output_types(str)
        )


class _AsText(beam.DoFn):
    """Runs beside every stage that counts rows: there the process tells its numbers."""

    def __init__(self, kind: str, output: str, run_id: str) -> None:
        self._kind, self._output, self._run_id = kind, output, run_id

    def setup(self) -> None:
        live_numbers.tell(self._output, self._run_id)

    def process(self, part: Any) -> Iterator[tuple[str, str]]:
        yield self._kind, json.dumps(part)


class _Records(beam.DoFn):
    """Parts to one record for each bundle."""

    def start_bundle(self) -> None:
        self._files: list[WrittenFile] = []
        self._entries: dict[tuple[str, ...], int] = {}
        self._any = False

    def process(self, part: tuple[str, str]) -> None:
        kind, text = part
        self._any = True
        if kind == "file":
            self._files.append(WrittenFile(*json.loads(text)))
        elif kind == "entry":
            key, rows = json.loads(text)
            self._entries[tuple(key)] = self._entries.get(tuple(key), 0) + rows

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._any:
            entries: Any = tuple(self._entries.items())
            record = StreamRecord(uuid.uuid4().hex, tuple(self._files), entries)
            yield GlobalWindows.windowed_value((_KEY, record.to_json()))


class _Keep(beam.DoFn):
    """Keeps records in state until they are published, and says what may be."""

    HELD = BagStateSpec("held", StrUtf8Coder())
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def start_bundle(self) -> None:
        self._looked = False

    def process(
        self,
        element: tuple[bytes, str],
        held: Any = beam.DoFn.StateParam(HELD),  # noqa: B008  Beam's way of asking for it, here and below
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
        # Unused here: Prism (2.77) finalises bundles only if the step asks that a fused stage begins with.
        finalizer: Any = beam.DoFn.BundleFinalizerParam,  # noqa: ARG002
    ) -> Iterator[_Said]:
        end.set(GlobalWindow().max_timestamp())
        if not self._looked:
            self._looked = True
            yield from self._look(held)
        text = element[1]
        _Process.seen.add(StreamRecord.from_json(text).id)
        held.add(text)
        yield _WAITS, [text]

    @on_timer(END)  # type: ignore[untyped-decorator]
    def at_end(
        self,
        held: Any = beam.DoFn.StateParam(HELD),  # noqa: B008
    ) -> Iterator[_Said]:
        rest = list(held.read())
        yield _ENDS, rest

    def _look(self, held: Any) -> Iterator[_Said]:
        """Once in a bundle: forget what is published, and see what a restart has left."""
        before = list(held.read())
        ids = {text: StreamRecord.from_json(text).id for text in before}
        kept = [text for text in before if ids[text] not in _Process.done]
        if len(kept) < len(before):
            held.clear()
            for text in kept:
                held.add(text)
        for text in before:
            if ids[text] in _Process.done:
                _Process.done.discard(ids[text])
                _Process.seen.discard(ids[text])
        lasting = [text for text in kept if ids[text] not in _Process.seen or ids[text] in _Process.failed]
        if lasting:
            yield _LASTS, lasting


class _Publish(beam.DoFn):
    def __init__(
        self,
        output: str,
        run: RunIdentity,
        tables: Mapping[str, Table],
        compact_every: float | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._output = output
        self._run = run
        self._tables = tables
        self._compact_every = compact_every
        self._clock = clock
        self._named = (output, run.run_id)

    def start_bundle(self) -> None:
        self._waiting: list[StreamRecord] = []

    def process(self, said: _Said, finalizer: Any = beam.DoFn.BundleFinalizerParam) -> Iterator[str]:
        what, texts = said
        records = [StreamRecord.from_json(text) for text in texts]
        if what == _LASTS:
            self._publish(records)
        elif what == _WAITS:
            if not self._waiting:
                finalizer.register(_Finalized(self._named, self._publish, self._waiting))
            self._waiting += records
        else:
            stream_commits.balance_at_end(self._output, self._run.run_id, records)
            if self._named in _Process.finalized:
                finalizer.register(_Finalized(self._named, self._end, records))
            else:
                yield json.dumps(self._end(records), indent=2, sort_keys=True)

    def _publish(self, records: list[StreamRecord]) -> None:
        stream_commits.publish(self._output, self._run.run_id, records, self._tables)
        if self._compact_every is not None and any(file.rows for record in records for file in record.files):
            tending.tend(self._output, self._run.run_id, self._compact_every)
        ids = {record.id for record in records}
        _Process.done |= ids
        _Process.failed -= ids

    def _end(self, records: list[StreamRecord]) -> dict[str, Any]:
        return stream_commits.end(self._output, self._run, records, self._tables, self._clock)


class _Finalized:
    """Called when a bundle lasts."""

    def __init__(
        self, named: tuple[str, str], then: Callable[[list[StreamRecord]], object], records: list[StreamRecord]
    ) -> None:
        self._named = named
        self._then = then
        self._records = records

    def __call__(self) -> None:
        _Process.finalized.add(self._named)
        try:
            self._then(self._records)
        except Exception:
            # Beam would only warn: a later bundle tries again, and fails if it can't.
            _log.exception("publishing what a bundle wrote failed; it is tried again")
            _Process.failed |= {record.id for record in self._records}
