"""Which dead letters a replay takes, and the run that it is.

The letters that a replay takes are copied to `_replays/RUN_ID.parquet` beside the dead letters, before it
runs: that file is its input. Once the replay is committed, it also tells that those letters are settled, so
that no other replay takes them. The run's id is made from the letters and the options: the same replay
again, after it was killed say, is the same run.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_pipelines import dead_letters, options
from beam_pipelines.contract import read_contract
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.launch import arguments
from beam_pipelines.launch.arguments import Request
from beam_pipelines.launch.help_texts import RUNNER_EPILOG
from beam_pipelines.pipelines import PipelineEntry, find
from beam_pipelines.sink import runs, storage
from beam_pipelines.sink.dead_letter_files import LETTER, from_json_lines, read_named_letters

REPLAYS = "_replays"
"""Folder beside `dead_letters/`; readers of Hive layouts skip names that start with `_`."""

_FORMAT = "dead_letters"
_NOT_TAKEN_OVER = ("input", "format", "compression", "run_id")
_SCHEMA = dead_letters.SCHEMA.append(pa.field(LETTER, pa.string()))


@dataclasses.dataclass(frozen=True)
class Replay:
    """A replay that can be run."""

    of_run: str
    rows: int
    entry: PipelineEntry
    request: Request


def choose(output: str, run_id: str | None, patched: str | None, more: Sequence[str]) -> Replay | None:
    """Choose the letters of a run (of those in the file `patched`, if one is given) that no replay has taken.

    `more` are options that replace the run's own. None when no letter is left. UsageError when there is no
    such run, several have letters left, the file names letters that the run hasn't, or an option is wrong.
    """
    taken = _taken(output)
    run_id = run_id or _only_run(output, taken)
    if run_id is None:
        return None
    manifest = runs.committed_manifest(output, run_id)
    if manifest is None:
        raise runs.unknown_run(output, run_id)
    root = _letters_root(output, manifest)
    found = [batch for batch in _letters(output, run_id, taken) if batch.num_rows]
    letters = pa.Table.from_batches(found, _SCHEMA)
    if patched is not None:
        letters = _patched(
            patched, letters, {name for batch in _letters(output, run_id, set()) for name in _names(batch)}
        )
    if not letters.num_rows:
        return None
    entry = find(manifest["pipeline"])
    argv = [*_options_of(entry, manifest, more), f"--input={REPLAYS}", f"--format={_FORMAT}", *more]
    request = arguments.read(entry, argv, RUNNER_EPILOG)
    new_id = request.options.run_id or _run_id(letters, request.options)
    path = f"{root}/{REPLAYS}/{new_id}.parquet"
    request = dataclasses.replace(request, options=dataclasses.replace(request.options, input=(path,), run_id=new_id))
    if not storage.exists(path):
        with pa.BufferOutputStream() as content:
            pq.write_table(letters, content, compression="zstd")
            storage.write(path, content.getvalue().to_pybytes(), f"{root}/{REPLAYS}")
    return Replay(run_id, letters.num_rows, entry, request)


def _taken(output: str) -> set[str]:
    """Names of the letters that committed replays took."""
    names: set[str] = set()
    for run_id in runs.committed_runs(output):
        manifest = runs.committed_manifest(output, run_id) or {}
        if manifest.get("options", {}).get("format") == _FORMAT:
            for path in manifest["options"]["input"]:
                with storage.open_to_read(path) as file:
                    names.update(pq.read_table(file, columns=[LETTER]).column(0).to_pylist())
    return names


def _only_run(output: str, taken: set[str]) -> str | None:
    """The run with letters left; None when there is none."""
    committed = runs.committed_runs(output)
    if not committed:
        raise UsageError(f"{output} is no lake with a committed run")
    left = {run_id: sum(batch.num_rows for batch in _letters(output, run_id, taken)) for run_id in committed}
    with_letters = {run_id: rows for run_id, rows in left.items() if rows}
    if len(with_letters) > 1:
        told = "\n".join(f"  --run_id {run_id}  ({rows:,} letters)" for run_id, rows in with_letters.items())
        raise UsageError(f"several runs have dead letters to replay; name one:\n{told}")
    return next(iter(with_letters), None)


def _letters(output: str, run_id: str, taken: set[str]) -> Iterator[pa.RecordBatch]:
    if run_id not in runs.committed_runs(output):
        raise runs.unknown_run(output, run_id)
    settled = pa.array(sorted(taken), pa.string())
    for names, batch in read_named_letters(output, run_id):
        named = pa.RecordBatch.from_arrays([*batch.columns, names], schema=_SCHEMA)
        yield named.filter(pc.invert(pc.is_in(names, settled)))


def _names(batch: pa.RecordBatch) -> list[str]:
    return batch.column(LETTER).to_pylist()


def _letters_root(output: str, manifest: dict[str, Any]) -> str:
    return storage.root_of(manifest["options"].get("dead_letter_output") or output)


def _patched(path: str, letters: pa.Table, all_names: set[str]) -> pa.Table:
    """The letters of a file of JSON Lines that are still to be replayed, as they are there."""
    try:
        content = Path(path).read_bytes()
    except OSError as refused:
        raise UsageError(f"--letters: can't read {path}: {refused.strerror}") from None
    names = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            name = msgspec.json.decode(line)[LETTER]
        except (msgspec.DecodeError, KeyError, TypeError):
            raise UsageError(
                f"--letters: line {number} of {path} is no dead letter with its name, as `dead-letters cat` prints it"
            ) from None
        if name not in all_names:
            raise UsageError(
                f"--letters: line {number} of {path} names the letter '{name}', which the run hasn't."
                + did_you_mean(name, sorted(all_names)[:1000])
            )
        names.append(name)
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if twice:
        raise UsageError(f"--letters: {path} holds the letter '{min(twice)}' more than once")
    batch = from_json_lines(content)
    table = pa.Table.from_arrays([*batch.columns, pa.array(names, pa.string())], schema=_SCHEMA)
    return table.filter(pc.is_in(table.column(LETTER), letters.column(LETTER).combine_chunks()))


def _options_of(entry: PipelineEntry, manifest: dict[str, Any], more: Sequence[str]) -> list[str]:
    """The options of the run, as one writes them, without those that are given anew or are another matter now."""
    known = {spec.name: spec for spec in options.specs(entry.options)}
    given = {word[2:].partition("=")[0] for word in more if word.startswith("--")}
    argv = []
    for name, value in manifest["options"].items():
        spec = known.get(name)
        if spec is None or spec.group == "stream" or name in _NOT_TAKEN_OVER or name in given:
            continue
        if value in (None, [], spec.default):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        argv.append(f"--{name}={text.lower() if isinstance(value, bool) else text}")
    return argv


def _run_id(letters: pa.Table, told: Any) -> str:
    """The replay's own id. A contract is known by its content, so that a newer one makes another replay."""
    digest = hashlib.sha256(repr(dataclasses.replace(told, contract="", run_id=None)).encode())
    digest.update(read_contract(told.contract).fingerprint.encode())
    for column in (LETTER, "payload"):
        for value in letters.column(column).to_pylist():
            digest.update(repr(value).encode())
    return f"replay-{digest.hexdigest()[:16]}"
