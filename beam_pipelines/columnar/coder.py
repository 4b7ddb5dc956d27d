"""Record batches as Beam elements: an Arrow IPC coder, registered when this module is imported."""

from __future__ import annotations

import apache_beam as beam
import pyarrow as pa

CODER_VERSION = 1
"""Last byte of every encoded batch; a reader refuses versions it doesn't know.

Last, so that the stream before it keeps the alignment of `bytes` objects (16), and decoding needs no
copy: Arrow's joins and group-bys warn about buffers that lie at odd addresses.
"""


class RecordBatchCoder(beam.coders.Coder):
    """Codes a `pa.RecordBatch` as an Arrow IPC stream and one version byte.

    A slice is coded as the slice, not with its parent's buffers (Beam's default pickles the parent).
    Not deterministic: a batch is never a key.

    >>> coder = RecordBatchCoder()
    >>> batch = pa.record_batch({"a": [1, 2, 3]})
    >>> coder.decode(coder.encode(batch.slice(1, 1))).to_pydict()
    {'a': [2]}
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_batch(value)
        sink.write(bytes([CODER_VERSION]))
        return sink.getvalue().to_pybytes()

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        if encoded[-1] != CODER_VERSION:
            raise ValueError(
                f"a record batch was coded with version {encoded[-1]}, this package reads {CODER_VERSION}: "
                "run the same release of beam_pipelines on every worker"
            )
        with pa.ipc.open_stream(pa.py_buffer(encoded)) as reader:
            return reader.read_next_batch()

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """Bytes of its columns: Beam asks for samples of each edge, and would encode them to know."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type[pa.RecordBatch]:
        return pa.RecordBatch

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


beam.coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
