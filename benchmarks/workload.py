"""What a workload and its sides are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Side:
    """One implementation of a workload: a module that is run as `python -m MODULE SOURCE OUTPUT`.

    `environment` is a name of `environments.ENVIRONMENTS`. A slow side is run less often. `most_rows` is the largest
    input that it is given. `{source}` in an argument becomes the path of the source.
    """

    implementation: str
    module: str
    says: str
    environment: str = "project"
    slow: bool = False
    most_rows: int | None = None
    arguments: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """A folder of Parquet files that each side writes, and what of it has to be the same on all sides.

    `columns` are SQL expressions over its rows, compared as a multiset of rows; `totals` are aggregates of the whole.
    """

    folder: str
    columns: str
    totals: str = ""


@dataclasses.dataclass(frozen=True)
class Family:
    """Workloads that are told together: one text, and one table in which each is named by its title."""

    name: str
    title: str
    says: str


@dataclasses.dataclass(frozen=True)
class Workload:
    """What is measured: the same input for all sides, and the same output by all of them.

    `source` makes an input of so many rows, unless it is there. `reference` is the side whose output the others are
    compared with: never ours. None when nothing can be compared.
    """

    name: str
    title: str
    says: str
    sides: tuple[Side, ...]
    source: Callable[[int], Path]
    tables: tuple[Table, ...]
    reference: str | None
    sizes: tuple[int, ...]
    quick: int | None
    """Rows in `make bench-quick`, which leaves the workload out if there are none."""
    family: Family | None = None
