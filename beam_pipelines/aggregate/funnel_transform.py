"""MeasureFunnel: how many users came how far along a row of steps, by event-time window and group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.aggregate.plan import ROWS
from beam_pipelines.aggregate.transform import AggregateBatches, Aggregates
from beam_pipelines.errors import UsageError
from beam_pipelines.window.spec import NO_WINDOW, Window, parse_window

CONVERSION = "conversion"


class MeasureFunnel(beam.PTransform):
    """Count the users that made the first step, the first two, and so on.

    In: batches of `schema`. Out: `Aggregates`, whose panes hold `window_start`, `window_end`, the group
    columns, a column for each step with the number of users who came so far, `conversion` (of those with
    the first step, the part with the last; null when there are none), and `__rows`.

    `steps` are names and SQL conditions in order. A user made a step if a row of it is strictly later than
    that of the step before, at most `within` (`30m`) after the first step's. `user` names the column or
    columns that tell users apart; rows where they are null count as rows, not as a user. Steps count
    together inside one window and group only. Sessions are refused, being of one user each.

    For bounded input; in a stream the aggregate `funnel('30m', …)` of each user is there to be used.
    ExpressionError and UsageError are raised where the pipeline is built. It keeps 16 bytes for each row
    that is a step (see docs/aggregates.md).

    >>> visits = pa.schema([("user", pa.string()), ("event", pa.string()), ("at", pa.timestamp("us", "UTC"))])
    >>> steps = {"viewed": "event = 'view'", "bought": "event = 'buy'"}
    >>> funnel = MeasureFunnel(visits, steps, user="user", within="1h", event_time="at", window="fixed:1d")
    >>> funnel.output_schema.names
    ['window_start', 'window_end', 'viewed', 'bought', 'conversion']
    """

    def __init__(
        self,
        schema: pa.Schema,
        steps: Mapping[str, str],
        *,
        user: str | Sequence[str],
        within: str,
        event_time: str,
        group_by: Sequence[str] = (),
        window: Window | str = NO_WINDOW,
        shards: int | None = None,
    ) -> None:
        super().__init__()
        window = parse_window(window)
        users = (user,) if isinstance(user, str) else tuple(user)
        groups = (group_by,) if isinstance(group_by, str) else tuple(group_by)
        if not users:
            raise UsageError("user: name the column that tells users apart")
        if len(steps) < 2:
            raise UsageError(f"steps: a funnel has two steps at least, not {len(steps)}")
        if window.kind == "session":
            raise UsageError(f"window {window}: a session is of one user; a funnel's time limit is `within`")
        if any(name.lower() == CONVERSION for name in steps):
            raise UsageError(f"steps: '{CONVERSION}' is the name of the result's own column; choose another")
        taken = [name for name in steps if name.lower() in {column.lower() for column in groups}]
        if taken:
            raise UsageError(f"steps: '{taken[0]}' is a column to group by; choose another name")
        conditions = ", ".join(f"({condition})" for condition in steps.values())
        limit = within.replace("'", "''")
        self._by_user = AggregateBatches(
            schema,
            f"funnel('{limit}', {conditions}) as level",
            group_by=(*groups, *users),
            window=window,
            event_time=event_time,
            shards=shards,
        )
        made = self._by_user.output_schema
        keys = made.names[2:-1]
        # Windows and rows of the users' results are plain columns to be grouped and added up.
        self._names = ["w0", "w1", *(f"k{place}" for place in range(len(keys))), "level", "n"]
        types = [*(field.type for field in made), pa.int64()]
        renamed = pa.schema(list(zip(self._names, types, strict=True)))
        known = " and ".join(f"k{place} is not null" for place in range(len(groups), len(keys)))
        came = [f"count_if(level >= {number} and {known})" for number in range(1, len(steps) + 1)]
        counts = [f"{count} as {_quoted(name)}" for name, count in zip(steps, came, strict=True)]
        self._over_users = AggregateBatches(
            renamed,
            ", ".join([*counts, f"{came[-1]} / {came[0]} as {CONVERSION}", "sum(n) as n_rows"]),
            group_by=["w0", "w1", *(f"k{place}" for place in range(len(groups)))],
        )
        found = self._over_users.output_schema
        fields = [*list(made)[: 2 + len(groups)], *list(found)[4 + len(groups) : -1]]
        self._schema = pa.schema(fields)

    @property
    def output_schema(self) -> pa.Schema:
        """Schema of the results as sinks write them."""
        return self._schema

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Aggregates:
        if not batches.is_bounded:
            raise UsageError("MeasureFunnel is for bounded input: in a stream, take the aggregate funnel('30m', …)")
        by_user = batches | "ByUser" >> self._by_user
        renamed = by_user.panes | "Rename" >> beam.Map(_rename, self._names).with_output_types(pa.RecordBatch)
        over_users = renamed | "OverUsers" >> self._over_users
        panes = over_users.panes | "Results" >> beam.Map(_results, self._schema).with_output_types(pa.RecordBatch)
        return Aggregates(panes, by_user.late, by_user.ledger)


def _rename(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(batch.columns, names=names)


def _results(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of the result by place: without the windows of the second aggregation, which has none."""
    columns = batch.columns[2:-1]
    return pa.RecordBatch.from_arrays(columns, schema=schema.append(pa.field(ROWS, pa.int64())))


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
