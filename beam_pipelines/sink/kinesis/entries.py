"""Records → entries of PutRecords: data with the id in it, and a partition key. Pure."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.sink.records import ID_HEADER, Records

MAX_RECORD_BYTES = 1 << 20
"""Of data and partition key together: what a stream takes unless it was set to take more."""

_KEY_CHARACTERS = 256  # of a partition key at most


class Entry(NamedTuple):
    """What PutRecords takes of a row."""

    data: bytes
    key: str

    @property
    def size(self) -> int:
        return len(self.data) + len(self.key.encode())


def data_of(records: Records, value: str) -> pa.Array:
    """The data of each row. Kinesis has no headers: the id is a field of the object that is written.

    >>> none, one = pa.nulls(1, pa.binary()), pa.array([0])
    >>> data_of(Records(pa.array([b'{"n":1}']), none, pa.array(["in/7"]), one, None), "json").to_pylist()
    [b'{"n":1,"beam-pipelines-id":"in/7"}']
    """
    if value == "raw":
        return records.values
    texts = records.values.cast(pa.string())
    begun = pc.utf8_rtrim(pc.utf8_slice_codeunits(texts, 0, -1), ",")
    comma = pc.if_else(pc.equal(begun, "{"), "", ",")
    ids = json_text(records.ids)
    return pc.binary_join_element_wise(begun, comma, f'"{ID_HEADER}":', ids, "}", "").cast(pa.binary())


def key_of(key: bytes | None, id: str) -> str:
    """Make a partition key: the row's key, or its id, which spreads rows evenly and tells what was written twice.

    A key that the service doesn't take (longer than 256 characters, empty, no UTF-8) is its hash.

    >>> key_of(b"DE", "in/7"), key_of(None, "in/7"), len(key_of(b"x" * 300, "in/7"))
    ('DE', 'in/7', 64)
    """
    own = id.encode() if key is None else key
    try:
        text = own.decode()
    except UnicodeDecodeError:
        text = ""
    return text if 0 < len(text) <= _KEY_CHARACTERS else hashlib.sha256(own).hexdigest()
