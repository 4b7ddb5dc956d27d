"""Keep what a pipeline yields, on any runner: as canonical texts in a file for each output.

The functions that workers call are local, so that they travel by value: a worker that has only what was staged
(Dataflow's) has no tests to import.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows, GlobalWindows

_AGES = 100 * 366 * 24 * 3600  # one window for all times, since a stream isn't grouped in the global one
_UTC = ("zoneinfo.ZoneInfo(key='UTC')", "datetime.timezone.utc")  # Arrow's and Python's name of one zone


def keep(outputs: dict[str, beam.PCollection[Any]], folder: Path) -> None:
    """Write each output's elements to `folder/NAME`: rows of batches, texts, entries of the
    ledger, or anything else with its time and window."""
    for name, output in outputs.items():
        _keep_one(name, output, str(folder / name))


def _keep_one(name: str, output: beam.PCollection[Any], path: str) -> None:
    utc = _UTC

    def texts_of(element: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> list[str]:
        if hasattr(element, "to_pylist"):
            return [repr(row).replace(*utc) for row in element.to_pylist()]
        if isinstance(element, str):
            return [element]
        if isinstance(element, tuple) and len(element) == 2 and isinstance(element[1], int):
            return [repr(element)]  # of the ledger
        return [repr((element, str(time), str(window)))]

    def write(texts: Any) -> None:
        import os
        import uuid

        draft = f"{path}.{uuid.uuid4().hex}"
        with open(draft, "w", encoding="utf-8") as file:  # noqa: PTH123  short, since it travels
            file.writelines(f"{text}\n" for text in sorted(texts))
        os.replace(draft, path)  # noqa: PTH105

    window = GlobalWindows() if output.is_bounded else FixedWindows(_AGES)
    (
        output
        | f"{name}: texts" >> beam.FlatMap(texts_of).with_output_types(str)
        | f"{name}: all" >> beam.WindowInto(window)
        | f"{name}: one key" >> beam.Map(lambda text: (b"", text)).with_output_types(tuple[bytes, str])
        | f"{name}: together" >> beam.GroupByKey()
        | f"{name}: write" >> beam.Map(lambda group: write(group[1]))
    )


def read(folder: Path, name: str) -> list[str]:
    """Return what was kept under a name, sorted; ledger entries summed. Nothing if there was no element."""
    file = folder / name
    if not file.is_file():
        return []
    texts = file.read_text(encoding="utf-8").splitlines()
    if not name.endswith("ledger"):
        return texts
    totals: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        key, rows = ast.literal_eval(text)
        totals[key] += rows
    return sorted(repr(entry) for entry in totals.items())


def texts(elements: list[Any]) -> list[str]:
    """Elements in the form of `read`."""
    return sorted(repr(element).replace(*_UTC) for element in elements)
