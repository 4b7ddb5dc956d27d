"""The probes: each a small graph, and what must come out of it, judged in the job itself.

A job of them that ends well has proven them, even on a runner that returns no counters, unless it ended without
having run: so each judgement is counted too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import BytesCoder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import FixedWindows, GlobalWindows, TimestampedValue

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.dead_letters import failure, failures_column, letters_of
from beam_pipelines.doctor import worker

WORKERS = "workers"
_JUDGED = "judged "
_ELEMENTS = 64  # that ask workers for themselves: several for each of a small cluster


class ProbeError(AssertionError):
    """What came out of a probe is not what must come out."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """`proves` says what works if it passes, `needed` what doesn't if it fails."""

    name: str
    proves: str
    needed: str
    graph: Callable[[beam.Pipeline], beam.PCollection[Any]]
    expected: Sequence[Any]


def build(pipeline: beam.Pipeline, names: Iterable[str], modules: Sequence[str], *, by_value: bool = False) -> None:
    """Wire the probes of these names, and, if `workers` is among them, ask workers for their facts.

    `modules`: what workers must be able to import. `by_value`: carry the asking code with the job, for workers that
    can't import this package; it needs the same minor version of Python there.
    """
    wanted = list(names)
    if wanted == [WORKERS]:
        # By itself it takes nothing of Beam that is pickled by value: it reaches workers of another Python.
        _ = pipeline | beam.Impulse() | "Ask" >> beam.ParDo(_asking(modules, by_value))
    elif WORKERS in wanted:
        elements = pipeline | "Workers" >> beam.Create(range(_ELEMENTS)) | beam.Reshuffle()
        _ = elements | "Ask" >> beam.ParDo(_asking(modules, by_value))
    for probe in PROBES:
        if probe.name in wanted:
            _ = pipeline | f"Probe {probe.name}" >> _Prove(probe)


def judged(counters: Iterable[str]) -> set[str]:
    """Names of the probes that were really judged.

    >>> judged(["judged shuffle", "read"])
    {'shuffle'}
    """
    return {name.removeprefix(_JUDGED) for name in counters if name.startswith(_JUDGED)}


def _asking(modules: Sequence[str], by_value: bool) -> worker.TellOfWorker:
    from apache_beam.internal import cloudpickle

    registered = worker.__name__ in cloudpickle.cloudpickle.list_registry_pickle_by_value()
    if by_value and not registered:
        cloudpickle.register_pickle_by_value(worker)
    elif registered and not by_value:
        cloudpickle.unregister_pickle_by_value(worker)
    return worker.TellOfWorker(modules)


class _Prove(beam.PTransform):
    """Runs a probe's graph and judges what came of it, also when nothing did."""

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self._probe = probe

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Any]:
        found = self._probe.graph(pbegin.pipeline) | "Whole" >> beam.WindowInto(GlobalWindows())
        keyed = found | "Found" >> beam.Map(lambda each: ("", ("found", each))).with_output_types(tuple[str, Any])
        marker = pbegin | "Marker" >> beam.Create([("", ("end", None))]).with_output_types(tuple[str, Any])
        judge = _Judge(self._probe.name, self._probe.expected)
        return (keyed, marker) | beam.Flatten() | "Gather" >> beam.GroupByKey() | "Judge" >> beam.ParDo(judge)


class _Judge(beam.DoFn):
    def __init__(self, name: str, expected: Sequence[Any]) -> None:
        self._name = name
        self._expected = sorted(expected)

    def process(self, element: tuple[str, Iterable[tuple[str, Any]]]) -> None:
        found = sorted(each for kind, each in element[1] if kind == "found")
        if found != self._expected:
            raise ProbeError(f"{self._name}: {found!r} came out, where it must be {self._expected!r}"[:1000])
        beam.metrics.Metrics.counter(worker.NAMESPACE, f"{_JUDGED}{self._name}").inc()


_PAIRS = [(f"key{n % 7}", n) for n in range(500)]
_SUMS = [(f"key{key}", sum(range(key, 500, 7))) for key in range(7)]


def _shuffle(pipeline: beam.Pipeline) -> beam.PCollection[Any]:
    groups = pipeline | "Shuffled" >> beam.Create(_PAIRS) | beam.GroupByKey()
    return groups | "Sum" >> beam.MapTuple(lambda key, values: (key, sum(values)))


def _side_input(pipeline: beam.Pipeline) -> beam.PCollection[Any]:
    side = pipeline | "Side" >> beam.Create([("a", 1), ("b", 2)])
    main = pipeline | "Main" >> beam.Create(["a", "b", "c"])
    return main | "LookUp" >> beam.Map(lambda key, known: (key, known.get(key, 0)), beam.pvalue.AsDict(side))


class _InItsWindow(beam.DoFn):
    def process(
        self, element: tuple[str, Iterable[int]], window: Any = beam.DoFn.WindowParam
    ) -> Iterator[tuple[str, int, int]]:
        yield element[0], int(window.start), len(list(element[1]))


def _windows(pipeline: beam.Pipeline) -> beam.PCollection[Any]:
    times = pipeline | "Times" >> beam.Create([("a", n) for n in range(0, 30, 2)])
    stamped = times | "Stamp" >> beam.MapTuple(lambda key, time: TimestampedValue((key, time), time))
    return stamped | beam.WindowInto(FixedWindows(10)) | beam.GroupByKey() | beam.ParDo(_InItsWindow())


class _Count(beam.DoFn):
    SEEN = ReadModifyWriteStateSpec("seen", VarIntCoder())

    def process(
        self,
        element: tuple[str, int],
        seen: Any = beam.DoFn.StateParam(SEEN),  # noqa: B008  so Beam tells which state is meant
    ) -> Iterator[tuple[str, int]]:
        count = (seen.read() or 0) + 1
        seen.write(count)
        yield element[0], count


def _state(pipeline: beam.Pipeline) -> beam.PCollection[Any]:
    return pipeline | "Keyed" >> beam.Create([(f"key{n % 3}", n) for n in range(15)]) | beam.ParDo(_Count())


class _AtTimer(beam.DoFn):
    """Holds what came until event time has passed it."""

    HELD = BagStateSpec("held", BytesCoder())
    TIMER = TimerSpec("timer", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[str, bytes],
        held: Any = beam.DoFn.StateParam(HELD),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(TIMER),  # noqa: B008
    ) -> Iterator[str]:
        held.add(element[1])
        timer.set(_TIMER_SECONDS)
        yield from ()

    @on_timer(TIMER)  # type: ignore[untyped-decorator]
    def release(self, held: Any = beam.DoFn.StateParam(HELD)) -> Iterator[str]:  # noqa: B008
        yield b"".join(sorted(held.read())).decode()
        held.clear()


_TIMER_SECONDS = 1000  # of event time since 1970; a bounded job's watermark passes it when its input ends


def _timer(pipeline: beam.Pipeline) -> beam.PCollection[Any]:
    letters = pipeline | "Held" >> beam.Create([("key", letter) for letter in (b"a", b"b", b"c")])
    return letters | beam.ParDo(_AtTimer()).with_output_types(str)


class _Slices(beam.DoFn):
    """Yields slices of a batch with nested, null and decimal values: what the coder must carry."""

    def process(self, element: int) -> Iterator[pa.RecordBatch]:
        numbers = pa.array([*range(element, element + 9), None], pa.int64())
        batch = pa.record_batch(
            {
                "n": numbers,
                "price": numbers.cast(pa.decimal128(20, 0)).cast(pa.decimal128(22, 2)),
                "tags": pa.array([[str(n)] if n % 2 else None for n in range(10)], pa.list_(pa.string())),
            }
        )
        yield batch.slice(0, 5)
        yield batch.slice(5)


def _coder(pipeline: beam.Pipeline) -> beam.PCollection[Any]:
    batches = pipeline | "Numbers" >> beam.Create([0, 100]) | beam.ParDo(_Slices()).with_output_types(pa.RecordBatch)
    return batches | beam.Reshuffle() | "Content" >> beam.Map(lambda batch: repr(batch.to_pylist()))


def _carried() -> list[str]:
    return [repr(batch.to_pylist()) for element in (0, 100) for batch in _Slices().process(element)]


class _RefuseOdd(beam.DoFn):
    def process(self, element: int) -> Iterator[Any]:
        yield outcome.note("Probe", ledger.READ, 1)
        if element % 2 == 0:
            yield outcome.note("Probe", ledger.WRITTEN, 1, output=ledger.ROWS)
            yield pa.record_batch({"n": [element]})
            return
        refused = pa.record_batch({FAILURES: failures_column([[failure("odd", "n", str(element), "is odd")]])})
        yield from outcome.refuse(letters_of(refused, transform="Probe"), "Probe")
        yield outcome.note("Probe", ledger.DEAD_LETTERS_WRITTEN, 1)


def _ledger(pipeline: beam.Pipeline) -> beam.PCollection[Any]:
    """As in a real run: entries leave with the rows, are summed, and a last step sees all of them."""
    numbers = pipeline | "Rows" >> beam.Create(range(25)) | "Spread" >> beam.Reshuffle()
    stage = outcome.apply(numbers, _RefuseOdd(), "Refuse")
    sums = stage.ledger | "SumLedger" >> beam.CombinePerKey(sum)
    last = pipeline | "Last" >> beam.Create(["run"])
    return last | "Finalize" >> beam.Map(_balance, beam.pvalue.AsList(sums))


def _balance(_: str, entries: list[ledger.LedgerEntry]) -> tuple[int, int, int, str]:
    balance = ledger.Balance.of(entries)
    counts = (balance.count(name) for name in (ledger.READ, ledger.WRITTEN, ledger.DEAD_LETTERED))
    return *counts, "; ".join(balance.differences)  # type: ignore[return-value]  # of three numbers


PROBES = (
    Probe("shuffle", "GroupByKey brings each key's values together", "nothing can be grouped", _shuffle, _SUMS),
    Probe(
        "side input",
        "a step sees the whole of another collection",
        "runs can't be finalised: the last step sees the others' outcome as side inputs",
        _side_input,
        [("a", 1), ("b", 2), ("c", 0)],
    ),
    Probe(
        "windows",
        "event-time windows group rows by their own times",
        "only --window none gives right aggregates",
        _windows,
        [("a", 0, 5), ("a", 10, 5), ("a", 20, 5)],
    ),
    Probe(
        "state",
        "a step remembers by key",
        "steps that remember by key (late rows, deduplication of streams) can't run",
        _state,
        [(f"key{key}", count) for key in range(3) for count in range(1, 6)],
    ),
    Probe(
        "timer",
        "an event-time timer fires when the watermark passes it",
        "late rows and calendar windows of streams can't run",
        _timer,
        ["abc"],
    ),
    Probe("coder", "Arrow record batches cross workers unchanged", "no batch can pass", _coder, _carried()),
    Probe(
        "ledger",
        "every row is accounted for: ledger and finaliser",
        "no run can be committed",
        _ledger,
        [(25, 13, 12, "")],
    ),
)
NAMES = (WORKERS, *(probe.name for probe in PROBES))
