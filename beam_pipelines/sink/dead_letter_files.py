"""Dead letters in files: stamped with their run, read back, and as JSON Lines for people and tools.

In JSON Lines a letter has the columns of `dead_letters.SCHEMA` by name. Bytes are text where they are
valid UTF-8, under the column's own name; otherwise they are Base64 under `NAME_base64`. Attributes are
a list, since a name may come twice.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_pipelines import dead_letters
from beam_pipelines.columnar.batches import MAX_BATCH_ROWS
from beam_pipelines.errors import UsageError
from beam_pipelines.sink import runs, storage

FOLDER = "dead_letters"
LETTER = "letter"
"""Key of a letter's name in JSON Lines."""

_BINARY = tuple(field.name for field in dead_letters.SCHEMA if pa.types.is_binary(field.type))
_TIMES = tuple(field.name for field in dead_letters.SCHEMA if pa.types.is_timestamp(field.type))


def stamp(letters: pa.RecordBatch, pipeline: str, run_id: str) -> pa.RecordBatch:
    """Return letters that say which pipeline and run they are of. ValueError when they are no letters."""
    if letters.schema.names != dead_letters.SCHEMA.names:
        raise ValueError(f"not a batch of dead letters: its columns are {', '.join(letters.schema.names)}")
    known = {"pipeline": pipeline, "run_id": run_id}
    columns = [
        pa.repeat(pa.scalar(known[name]), letters.num_rows) if name in known else letters.column(name)
        for name in dead_letters.SCHEMA.names
    ]
    return pa.RecordBatch.from_arrays(columns, schema=dead_letters.SCHEMA)


def to_json_lines(letters: pa.RecordBatch, names: pa.Array | None = None) -> bytes:
    """Write letters as JSON Lines, a line for each; it starts with the letter's name, if there is one."""
    for name in _TIMES:  # as text in Arrow: Python's times end in the year 9999
        place = letters.schema.get_field_index(name)
        text = pc.replace_substring(letters.column(name).cast(pa.string()), " ", "T", max_replacements=1)
        letters = letters.set_column(place, name, text)
    lines = []
    named = names.to_pylist() if names is not None else [None] * letters.num_rows
    for name_of_letter, row in zip(named, letters.to_pylist(), strict=True):
        line: dict[str, Any] = {} if name_of_letter is None else {LETTER: name_of_letter}
        for name, value in row.items():
            if name in _BINARY:
                line.update(_bytes_as_json(name, value))
            elif name == "attributes" and value is not None:
                line[name] = [{"name": key, **_bytes_as_json("value", content)} for key, content in value]
            else:
                line[name] = value
        lines.append(msgspec.json.encode(line))
    return b"".join(line + b"\n" for line in lines)


def from_json_lines(content: bytes) -> pa.RecordBatch:
    """Read what `to_json_lines` wrote."""
    rows = []
    for text in content.splitlines():
        line = msgspec.json.decode(text)
        for name in _BINARY:
            line[name] = _bytes_of_json(line, name)
        if line["attributes"] is not None:
            line["attributes"] = [(item["name"], _bytes_of_json(item, "value")) for item in line["attributes"]]
        rows.append(line)
    text_times = pa.schema(
        [field.with_type(pa.string()) if field.name in _TIMES else field for field in dead_letters.SCHEMA]
    )
    letters = pa.RecordBatch.from_pylist(rows, text_times)
    return letters.cast(dead_letters.SCHEMA)


def read_dead_letters(output: str, run_id: str | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the dead letters of one run, or of all committed runs, in batches of `dead_letters.SCHEMA`.

    `output` is a lake, or the dead-letter output that a lake's runs were told. UsageError when there
    is no such folder, or no such run in it.
    """
    for _, letters in read_named_letters(output, run_id):
        yield letters


def read_named_letters(output: str, run_id: str | None = None) -> Iterator[tuple[pa.Array, pa.RecordBatch]]:
    """Like `read_dead_letters`, with a name for each letter: its file and its place in it, `FILE#ROW`.

    Files of a committed run never change, so a name always means the same letter.
    """
    for path in _files(output, run_id):
        row = 0
        for letters in _letters_in(path):
            places = pa.array(range(row, row + letters.num_rows), pa.int64()).cast(pa.string())
            yield pc.binary_join_element_wise(path.rpartition("/")[2], places, "#"), letters
            row += letters.num_rows


def _letters_in(path: str) -> Iterator[pa.RecordBatch]:
    with storage.open_to_read(path) as file:
        if path.endswith(".jsonl"):
            while lines := file.readlines(_READ_BYTES):
                yield from_json_lines(b"".join(lines))
        else:
            yield from pq.ParquetFile(file).iter_batches(batch_size=MAX_BATCH_ROWS)


_READ_BYTES = 8 << 20  # of JSON Lines held at a time


def _files(output: str, run_id: str | None) -> list[str]:
    root = storage.root_of(output)
    committed = runs.committed_runs(root)
    if committed:
        if run_id is not None and run_id not in committed:
            raise runs.unknown_run(output, run_id)
        manifests = [runs.committed_manifest(root, each) for each in committed if run_id in (None, each)]
        paths = [
            file["path"] for manifest in manifests if manifest for file in manifest["files"] if file["folder"] == FOLDER
        ]
        return [path if path.startswith("/") or not storage.is_local(path) else f"{root}/{path}" for path in paths]
    # A dead-letter output of its own holds no manifests: files are moved there only when a run is committed.
    found = [path for path in storage.list_below(f"{root}/{FOLDER}") if path.endswith((".parquet", ".jsonl"))]
    if not found and not storage.exists(f"{root}/{FOLDER}"):
        raise UsageError(f"{output} is no lake: it has neither committed runs nor a folder '{FOLDER}'")
    wanted = [path for path in found if run_id in (None, path.rpartition("/")[2].rpartition("-")[0])]
    if run_id is not None and not wanted:
        raise UsageError(f"no dead letters of a run '{run_id}' in {output}")
    return wanted


def _bytes_as_json(name: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {name: None}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}


def _bytes_of_json(line: dict[str, Any], name: str) -> bytes | None:
    coded = line.pop(f"{name}_base64", None)
    if coded is not None:
        return base64.b64decode(coded)
    text = line.get(name)
    return None if text is None else str(text).encode()
