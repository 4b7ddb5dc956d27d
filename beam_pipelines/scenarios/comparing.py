"""What was expected against what came, as bags of rows: their order doesn't count."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from beam_pipelines.parity.diff import compare
from beam_pipelines.scenarios.playing import Came
from beam_pipelines.scenarios.scenario import Scenario
from beam_pipelines.scenarios.values import Row, expected_rows, rows_of, shown

FINAL = "aggregates with late rows"
"""The part that is compared where panes are the runner's business."""


@dataclasses.dataclass(frozen=True)
class PartDifference:
    """One part: how many rows are as expected, those that didn't come, and those that weren't expected."""

    part: str
    equal: int
    missing: tuple[Row, ...]
    surplus: tuple[Row, ...]

    @property
    def is_equal(self) -> bool:
        """Whether all is as expected."""
        return not (self.missing or self.surplus)


def exact_differences(scenario: Scenario, came: Came) -> list[PartDifference]:
    """Each part that the scenario expects, compared row by row in the columns that its rows name.

    A column that some rows name and others don't is null in these.
    """
    return [_part(scenario, came, part) for part in scenario.expected]


def final_differences(scenario: Scenario, came: Came) -> list[PartDifference]:
    """What doesn't depend on when a runner closes windows: rows, dead letters, and panes and late rows together.

    These are, late rows aggregated anew, what a batch of all rows gives.
    """
    found = [_part(scenario, came, part) for part in scenario.expected if part in ("rows", "dead_letters")]
    if came.has_aggregates and came.parts["aggregates"].num_columns:
        batch, final = came.aggregates_of_rows, came.final_aggregates
        if compare(batch, final, show=0).is_equal:
            found.append(PartDifference(FINAL, batch.num_rows, (), ()))
        else:
            found.append(_bags(FINAL, rows_of(batch, scenario.day), rows_of(final, scenario.day, batch.schema.names)))
    return found


def _part(scenario: Scenario, came: Came, part: str) -> PartDifference:
    expected, table = scenario.expected[part], came.parts[part]
    columns = list(dict.fromkeys(name for row in expected for name in row)) or _few(table)
    wanted = expected_rows(expected, columns, table.schema, scenario.day)
    return _bags(part, wanted, rows_of(table, scenario.day, columns))


def _few(table: pa.Table) -> list[str]:
    """Columns that tell what a row is, where no row was expected."""
    names = table.schema.names
    return [name for name in ("rule", "field", "payload") if name in names] or names


def _bags(part: str, wanted: Sequence[Row], came: Sequence[Row]) -> PartDifference:
    left, right = Counter(map(shown, wanted)), Counter(map(shown, came))
    rows = {shown(row): row for row in (*wanted, *came)}
    missing = [rows[text] for text in sorted((left - right).elements())]
    surplus = [rows[text] for text in sorted((right - left).elements())]
    return PartDifference(part, (left & right).total(), tuple(missing), tuple(surplus))


def lines(found: PartDifference) -> Iterator[str]:
    """The difference as a person reads it: what was expected with `-`, what came with `+`, alike ones together.

    >>> wrong = PartDifference("aggregates", 1, ({"user": "ann", "n": 3},), ({"user": "ann", "n": 2},))
    >>> print("\\n".join(lines(wrong)))
      aggregates: 1 as expected, 1 missing, 1 not expected
        - {user: ann, n: 3}
        + {user: ann, n: 2}
          n is 2, not 3
    """
    counts = [f"{found.equal} as expected"]
    counts += [f"{len(found.missing)} missing"] if found.missing else []
    counts += [f"{len(found.surplus)} not expected"] if found.surplus else []
    yield f"  {found.part}: {', '.join(counts)}"
    rest = list(found.surplus)
    for row in found.missing:
        yield f"    - {shown(row)}"
        near = max(rest, key=lambda other, row=row: _alike(row, other), default=None)  # type: ignore[misc]
        if near is not None and 2 * _alike(row, near) >= len(row):
            rest.remove(near)
            yield f"    + {shown(near)}"
            told = [f"{name} is {_one(near[name])}, not {_one(row[name])}" for name in row if near[name] != row[name]]
            yield f"      {'; '.join(told)}"
    for row in rest:
        yield f"    + {shown(row)}"


def _alike(left: Row, right: Row) -> int:
    return sum(left[name] == right[name] for name in left)


def _one(value: Any) -> str:
    return shown({"": value}).removeprefix('{"": ').removesuffix("}")
