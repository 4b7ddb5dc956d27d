"""Rows judged by a DoFn written by hand, the same rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from benchmarks.w7.rows import run


class Judge(beam.DoFn):
    """A good row goes on, a bad one with its reason to another output."""

    def process(self, row: dict[str, Any]) -> Iterator[Any]:
        wrong = self._wrong(row)
        yield row if wrong is None else beam.pvalue.TaggedOutput("refused", (row, wrong))

    @staticmethod
    def _wrong(row: dict[str, Any]) -> str | None:
        if type(row.get("id")) is not int:
            return "id"
        if not isinstance(row.get("user"), str) or not row["user"]:
            return "user"
        if row.get("country") not in ("AT", "DE", "FR"):
            return "country"
        if type(row.get("cents")) is not int or row["cents"] < 0:
            return "cents"
        return None


if __name__ == "__main__":
    run(lambda rows: (rows | beam.ParDo(Judge()).with_outputs("refused", main="good")).good)
