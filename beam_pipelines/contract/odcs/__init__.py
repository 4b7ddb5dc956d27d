"""Contracts in the Open Data Contract Standard, version 3: read, checked, written."""

from __future__ import annotations

import os
import re
from pathlib import Path as FilePath

from beam_pipelines.contract.findings import Report
from beam_pipelines.contract.model import Contract
from beam_pipelines.contract.odcs.document import read_document
from beam_pipelines.contract.odcs.writer import to_odcs
from beam_pipelines.contract.odcs.yaml_tree import MAX_BYTES
from beam_pipelines.errors import ContractError

__all__ = ["parse_contract", "read_contract", "read_text", "split_path", "to_odcs"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def parse_contract(text: str, source: str = "<text>", object_name: str | None = None) -> Contract:
    """Read a contract from YAML text of the Open Data Contract Standard, v3.

    `object_name` says which schema object, when there are several. Raises ContractError with all that
    was found, each with its line and path.

    >>> contract = parse_contract('''
    ... apiVersion: v3.1.0
    ... kind: DataContract
    ... id: orders
    ... version: 1.0.0
    ... schema:
    ...   - name: orders
    ...     properties:
    ...       - {name: order_id, logicalType: integer, primaryKey: true}
    ...       - {name: price, logicalType: number, physicalType: "decimal(12,2)"}
    ... ''')
    >>> print(contract.schema)
    order_id: int64 not null
    price: decimal128(12, 2)
    """
    report = Report()
    document = read_document(text, report, object_name, choose=True)
    errors = [str(finding) for finding in report.findings if finding.severity == "error"]
    if errors or document is None:
        raise ContractError(source, errors)
    return document.objects[0].make(document.version, source, document.about)


def read_contract(path: str | os.PathLike[str], object_name: str | None = None) -> Contract:
    """Read a contract from a file on any of Beam's filesystems, as `parse_contract` does from text.

    `shop.odcs.yaml#orders` is the schema object `orders` of that file. Raises ContractError when the
    file can't be read.
    """
    location, name = split_path(path)
    return parse_contract(read_text(location), str(path), object_name or name)


def split_path(path: str | os.PathLike[str]) -> tuple[str, str | None]:
    """Split `FILE#OBJECT`; a local file whose own name has a # stays whole.

    >>> split_path("gs://bucket/shop.odcs.yaml#orders")
    ('gs://bucket/shop.odcs.yaml', 'orders')
    """
    whole = os.fspath(path)
    location, mark, name = whole.rpartition("#")
    if not mark or not name or not location or "/" in name or FilePath(whole).exists():
        return whole, None
    return location, name


def read_text(location: str) -> str:
    """Return a file's text; ContractError says why it can't be read."""
    data = _read_remote(location) if _SCHEME.match(location) else _read_local(location)
    if len(data) > MAX_BYTES:
        raise ContractError(location, [f"the file is larger than {MAX_BYTES} bytes: is it a contract?"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ContractError(location, [f"line {line}: not UTF-8: byte 0x{data[error.start]:02x}"]) from error


def _read_local(location: str) -> bytes:
    try:
        with FilePath(location).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ContractError(location, ["there is no such file"]) from error
    except OSError as error:
        raise ContractError(location, [f"can't be read: {error.strerror or error}"]) from error


def _read_remote(location: str) -> bytes:
    from apache_beam.io.filesystem import BeamIOError, CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    if location.startswith("file://"):
        return _read_local(location.removeprefix("file://"))
    try:
        with FileSystems.open(location, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return bytes(file.read(MAX_BYTES + 1))
    except (BeamIOError, OSError, ValueError) as error:
        raise ContractError(location, [f"can't be read: {error}"]) from error
    except Exception as error:  # a store's client raises errors of its own: google's NotFound, boto's ClientError
        raise ContractError(location, [f"can't be read: {type(error).__name__}: {error}"]) from error
