"""The support matrix in docs/runners.md, from what the suite holds true: `python -m tests.conformance.support_matrix`.

A mark is not an opinion: what isn't in a runner's `cannot` must pass, and what is must fail with the error named
there, or the suite fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from beam_pipelines.pipelines import PIPELINES
from tests.conformance.cases import CASES
from tests.conformance.matrix import RUNNERS

PAGE = Path(__file__).parents[2] / "docs" / "runners.md"
BEGIN = "<!-- support matrix: written by python -m tests.conformance.support_matrix -->\n"
END = "<!-- end of the support matrix -->\n"


def table() -> str:
    """The matrix and its footnotes in Markdown."""
    footnotes: list[str] = []
    lines = [
        f"| | {' | '.join(f'{runner.title}<br>`{name}`' for name, runner in RUNNERS.items())} |",
        f"| --- |{' :-: |' * len(RUNNERS)}",
    ]
    for title, cases in _rows():
        marks = [_mark(name, cases, footnotes) for name in RUNNERS]
        lines.append(f"| {title} | {' | '.join(marks)} |")
    notes = [f"{number}. {footnote}" for number, footnote in enumerate(footnotes, 1)]
    return "\n".join([*lines, "", *notes]) + "\n"


def _rows() -> Iterator[tuple[str, list[str]]]:
    """What a row is about, and the cases that prove it."""
    for pipeline in sorted(PIPELINES):
        yield f"`{pipeline}`", []
    for case in CASES.values():
        what = ", ".join(f"`{name}`" for name in case.proves)
        about = "panes under TestStream" if case.streaming else case.about
        yield (f"{what}, {about}" if about else what), [case.name]


def _mark(runner: str, cases: list[str], footnotes: list[str]) -> str:
    declared = RUNNERS[runner]
    for case in cases:
        refused = declared.cannot.get(case)
        text = f"{refused.reason}: `{refused.error}`" if refused else declared.notes.get(case)
        if text:
            if text not in footnotes:
                footnotes.append(text)
            return f"{'no' if refused else 'yes'} <sup>{footnotes.index(text) + 1}</sup>"
    return "yes"


def written(page: str) -> str:
    """The page with the matrix between its markers as it is now."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
    print(PAGE, file=sys.stderr)
