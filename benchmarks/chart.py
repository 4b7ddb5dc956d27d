"""Bars of a workload's CPU seconds, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.results import OURS, Result

_BAR, _GAP, _LEFT, _WIDTH = 22, 8, 130, 720  # px
_OURS, _OTHERS, _INK = "#0b6e4f", "#9aa5b1", "#57606a"


def bars(results: Sequence[Result], title: str) -> str:
    """One bar for each result, the cheapest first, as long as its CPU seconds."""
    longest = max(each.cpu_s for each in results)
    space = _WIDTH - _LEFT - 70
    height = 40 + len(results) * (_BAR + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="13" fill="{_INK}">',
        f'<text x="4" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for number, each in enumerate(sorted(results, key=lambda each: each.cpu_s)):
        top = 34 + number * (_BAR + _GAP)
        length = max(1.0, each.cpu_s / longest * space)
        middle = top + _BAR * 0.72
        parts += [
            f'<text x="{_LEFT - 8}" y="{middle:.0f}" text-anchor="end">{escape(each.implementation)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{length:.1f}" height="{_BAR}" '
            f'fill="{_OURS if each.implementation == OURS else _OTHERS}"/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{middle:.0f}">{each.cpu_s:,.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
