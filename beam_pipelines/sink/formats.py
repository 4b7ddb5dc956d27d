"""One data file being written: Parquet or JSON Lines, with its size so far, to be closed or aborted."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from typing import IO, Any, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.sink import storage
from beam_pipelines.sink.dead_letter_files import to_json_lines
from beam_pipelines.sink.runs import OutputError

Format = Literal["parquet", "jsonl"]
FORMATS: tuple[Format, ...] = ("parquet", "jsonl")
Compression = Literal["zstd", "snappy", "gzip", "lz4", "none"]
COMPRESSIONS: tuple[Compression, ...] = ("zstd", "snappy", "gzip", "lz4", "none")

_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DataFile(Protocol):
    """A file of rows that grows."""

    path: str

    @property
    def bytes(self) -> int:
        """Bytes written so far; of a closed file, its size."""
        ...

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Append rows; in Parquet they become one row group."""
        ...

    def close(self) -> None:
        """Finish the file. OutputError when the file system refuses."""
        ...

    def abort(self) -> None:
        """Close and delete it; never raises."""
        ...


def create(path: str, schema: pa.Schema, format: Format, compression: Compression) -> DataFile:
    """Open a new file in the given format; `compression` is that of Parquet's pages."""
    return JsonLinesFile(path) if format == "jsonl" else ParquetFile(path, schema, compression)


class _Output:
    """A file object for pyarrow that counts bytes and says what a failed write means."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes = 0
        self._aborted = False
        self._file: IO[bytes] = _explained(path, storage.create, path)

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, data: Any) -> int:
        if not self._aborted:
            _explained(self.path, self._file.write, data)
            self.bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        """Nothing to do: what counts is the close."""

    def close(self) -> None:
        _explained(self.path, self._file.close)

    def abort(self) -> None:
        self._aborted = True
        with contextlib.suppress(Exception):
            self._file.close()
        storage.discard(self.path)


class ParquetFile:
    """A Parquet file: timestamps in microseconds, decimals of up to 18 digits as integers."""

    def __init__(self, path: str, schema: pa.Schema, compression: Compression) -> None:
        self.path = path
        self._schema = schema
        self._output = _Output(path)
        try:
            self._writer = pq.ParquetWriter(
                self._output,
                schema,
                version="2.6",
                compression=compression,
                coerce_timestamps="us",
                store_decimal_as_integer=True,
            )
        except BaseException:
            self._output.abort()
            raise

    @property
    def bytes(self) -> int:
        return self._output.bytes

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        rows = pa.Table.from_batches(batches, self._schema)
        self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))

    def close(self) -> None:
        self._writer.close()
        self._output.close()

    def abort(self) -> None:
        self._output.abort()
        with contextlib.suppress(Exception):  # writes a footer, which the aborted output swallows
            self._writer.close()


class JsonLinesFile:
    """Dead letters as JSON Lines."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._output = _Output(path)

    @property
    def bytes(self) -> int:
        return self._output.bytes

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        for batch in batches:
            self._output.write(to_json_lines(batch))

    def close(self) -> None:
        self._output.close()

    def abort(self) -> None:
        self._output.abort()


def _explained(path: str, call: Any, *args: Any) -> Any:
    try:
        return call(*args)
    except OSError as refused:
        raise OutputError(f"--output: can't write {path}: {_reason(refused)}. Nothing was published.") from refused


def _reason(refused: OSError) -> str:
    if refused.errno in _OUT_OF_SPACE:
        return "no space is left, or a quota or size limit is reached; make room and run it again"
    return refused.strerror or str(refused)
