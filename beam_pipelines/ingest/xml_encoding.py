"""In which encoding an XML document is, as its first bytes tell (XML 1.0, appendix F)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from beam_pipelines.errors import UsageError

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.-]*)["']""")
_WIDE = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}


def xml_encoding(head: bytes) -> str | None:
    """Return the encoding that a parser has to be told for parts of the document; None for UTF-8.

    UTF-16 counts as UTF-8, as `as_utf8` makes it. UsageError for one that isn't known.

    >>> xml_encoding(b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>"), xml_encoding(b"<a/>")
    ('iso8859-1', None)
    """
    declared = _DECLARED.match(head)
    if head[:2] in _WIDE:
        return "utf-8"  # said to the parser, since the document says otherwise
    if declared is None:
        return None
    name = declared[1].decode()
    try:
        found = codecs.lookup(name).name
    except LookupError:
        raise UsageError(f"--input: an XML document says encoding='{name}', which is not known") from None
    return None if found == "utf-8" else found


def as_utf8(blocks: Iterator[bytes], encoding: str | None) -> Iterator[bytes]:
    """Yield a document of UTF-16 as UTF-8, others as they are.

    >>> b"".join(as_utf8(iter(["<a/>".encode("utf-16")]), "utf-8"))
    b'<a/>'
    """
    first = next(blocks, b"")
    if encoding != "utf-8" or first[:2] not in _WIDE:
        yield first
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(_WIDE[first[:2]])("replace")
    yield decoder.decode(first).removeprefix("\ufeff").encode()
    for block in blocks:
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", True).encode()
