"""What is printed at the end of a run: the balance, the top dead letters, and where everything is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from beam_pipelines.sink import runs, storage

_TOP_RULES = 5
_KINDS = ("rows", "aggregates", "dead_letters")


def lines(output: str, run_id: str) -> Iterator[str]:
    """Yield the lines for a committed run. FileNotFoundError when it isn't committed."""
    manifest = runs.committed_manifest(output, run_id)
    folder = runs.run_folder(output, run_id)
    content = storage.read(f"{folder}/balance.json")
    if manifest is None or content is None:
        raise FileNotFoundError(folder)
    balance = json.loads(content)
    yield from _balance(balance)
    yield from _rules(balance["dead_letters_by_rule"])
    yield from _places(output, manifest["files"])
    for table in manifest.get("tables", ()):
        yield f"{_titled(table['output'])}  {table['table']}  {_counted(table['rows'], 'row')}"
    yield f"balance, manifest  {folder}/"


def _balance(balance: Mapping[str, Any]) -> Iterator[str]:
    parts = [f"{balance[name]:,} {name.replace('_', '-')}" for name in _parts(balance)]
    verdict = "balanced" if balance["balanced"] else "NOT balanced"
    yield f"{verdict}: {balance['read']:,} read = {' + '.join(parts)}"
    panes = balance["outputs"]["aggregates"]
    if panes["aggregated"]:
        yield f"aggregated: {panes['aggregated']:,} = {panes['in_panes']:,} in windows + {panes['late']:,} late"
    yield from balance["differences"]


def _parts(balance: Mapping[str, Any]) -> list[str]:
    """Always what was written and refused; the rest when there is any of it."""
    return [
        name
        for name in ("written", "dead_lettered", "duplicate", "filtered")
        if balance[name] or name in ("written", "dead_lettered")
    ]


def _rules(rules: Mapping[str, int]) -> Iterator[str]:
    if not rules:
        return
    shown = list(rules.items())[:_TOP_RULES]
    yield "dead letters by rule:"
    width = max(len(f"{rows:,}") for _, rows in shown)
    yield from (f"  {rows:>{width},}  {rule}" for rule, rows in shown)
    if len(rules) > len(shown):
        yield f"  and {_counted(len(rules) - len(shown), 'more rule')}"


def _places(output: str, files: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for file in files:
        found.setdefault(file["folder"], []).append(file)
    for kind in (*_KINDS, *sorted(found.keys() - set(_KINDS))):
        if kind in found:
            rows, size = (sum(file[fact] for file in found[kind]) for fact in ("rows", "bytes"))
            counts = f"{_counted(len(found[kind]), 'file')}, {_counted(rows, 'row')}, {_size(size)}"
            yield f"{_titled(kind)}  {_root(output, found[kind][0]['path'], kind)}  {counts}"


def _titled(kind: str) -> str:
    return f"{kind.replace('_', ' '):<17}"


def _root(output: str, path: str, kind: str) -> str:
    """The folder of a kind of file; dead letters may have one of their own."""
    outside = path.startswith("/") or not storage.is_local(path)
    base = path[: path.rindex(f"/{kind}/")] if outside else storage.root_of(output)
    return f"{base}/{kind}/"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
