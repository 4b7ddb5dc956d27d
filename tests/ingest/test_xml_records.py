"""XML: records are the elements that an independent parser finds, as their bytes stand in the file."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.provenance import FAILURES, RECORD_FORMAT, XML_ENCODING
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.content import ReadOptions, read_content
from beam_pipelines.ingest.xml_records import split_xml

TEXT = st.text(st.sampled_from("ab<>&\"' é\n/"), max_size=6).map(
    lambda text: text.replace("&", "&amp;").replace("<", "&lt;")
)
EMPTY = st.sampled_from(["<o/>", "<o />", "<o a='/>'/>", "<o></o >", "<o>/></o>", "<o><p/></o>", "<o><o/></o>"])
ROW = (
    EMPTY
    | TEXT.map(lambda text: f'<o a="1"><p>{text}</p>{text}</o>')
    | TEXT.map(lambda t: f"<o><![CDATA[</o>]]>{t}</o>")
)
BETWEEN = st.sampled_from(["", "\n ", "<!-- <o/> -->", "text", "<?pi <o/>?>"])


def cut(
    content: bytes, size: int, row: str | None = None, most: int = 1 << 20
) -> tuple[list[bytes], list[tuple[str, bytes]]]:
    """Records, which stand where they say, and refusals."""
    records: list[bytes] = []
    refused: list[tuple[str, bytes]] = []
    blocks = iter([content[at : at + size] for at in range(0, len(content), size)])
    for found in split_xml(blocks, row, max_record_bytes=most):
        if isinstance(found, list):
            refused += [(each.rule, each.payload) for each in found]
        else:
            payloads = found.payloads.to_pylist()
            for payload, at in zip(payloads, found.positions.to_pylist(), strict=True):
                assert content[at : at + len(payload)] == payload
            records += payloads
    return records, refused


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ROW, BETWEEN), max_size=5), st.integers(1, 60))
def test_records_are_the_roots_children_however_the_document_is_cut(rows: list[tuple[str, str]], size: int) -> None:
    document = "<?xml version='1.0'?><!DOCTYPE os>\n<os>" + "".join(row + between for row, between in rows) + "</os>"
    records, refused = cut(document.encode(), size)
    assert refused == []
    assert [record.decode() for record in records] == [row for row, _ in rows]
    for child, record in zip(ET.fromstring(document), records, strict=True):
        child.tail = None
        assert ET.canonicalize(ET.tostring(child, "unicode")) == ET.canonicalize(record.decode())


def test_a_path_or_a_name_says_which_elements_are_rows() -> None:
    document = b"<f xmlns:n='u'><h>1</h><n:list><n:o>1</n:o><o>2<o>3</o></o></n:list><o>4</o></f>"
    assert cut(document, 5, "f/list/o")[0] == [b"<n:o>1</n:o>", b"<o>2<o>3</o></o>"]
    assert cut(document, 5, "o")[0] == [b"<n:o>1</n:o>", b"<o>2<o>3</o></o>", b"<o>4</o>"]
    assert cut(document, 5, "h")[0] == [b"<h>1</h>"]
    assert cut(document, 5, "nothing")[0] == []


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "broken",
    [
        b"<os><o>1</o><o>2</p></os>",
        b"<os><o>1</o><o>2",
        b"<os><o>1</o>",
        b"<os><o>1</o><o a=1/></os>",
        b"<os><o>1</o><o>\xff</o></os>",
    ],
)
def test_what_is_not_well_formed_is_refused_from_the_last_whole_record_on(broken: bytes, size: int) -> None:
    records, refused = cut(broken, size)
    assert records == [b"<o>1</o>"]
    assert {rule for rule, _ in refused} == {"xml.malformed"}
    assert b"".join(payload for _, payload in refused) == broken.removeprefix(b"<os><o>1</o>")


BILLION = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
BOMBS = {
    "billion laughs": b'<!DOCTYPE x [<!ENTITY l0 "lol">' + BILLION + b"]><x><o>&l9;</o></x>",
    "external": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><x><o>&e;</o></x>',
    "parameter": b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://localhost:1/x.dtd"> %p;]><x><o/></x>',
    "unparsed": b'<!DOCTYPE x [<!NOTATION n SYSTEM "n"><!ENTITY e SYSTEM "e" NDATA n>]><x><o/></x>',
    "deep": b"<x>" + b"<o>" * 5000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_unread(name: str) -> None:
    (batch,) = read_content(io.BytesIO(BOMBS[name]), "bomb.xml", ReadOptions())
    ((failure,),) = batch.column(FAILURES).to_pylist()
    assert failure["rule"] == "xml.forbidden"
    assert batch.column("__payload").to_pylist() == [BOMBS[name]]


def test_a_document_type_that_names_a_file_fetches_nothing() -> None:
    assert cut(b'<!DOCTYPE x SYSTEM "http://localhost:1/x.dtd"><x><o>1</o></x>', 7)[0] == [b"<o>1</o>"]


def test_a_record_that_is_too_long_is_refused_in_pieces_and_reading_goes_on() -> None:
    long = b"<o>" + b"y" * 50 + b"</o>"
    for size in (3, 1000):
        records, refused = cut(b"<x>" + long + b"<o>1</o></x>", size, most=20)
        assert records == [b"<o>1</o>"]
        assert {rule for rule, _ in refused} == {"file.record_too_long"}
        assert b"".join(payload for _, payload in refused) == long


@pytest.mark.parametrize(
    ("document", "payload", "encoding"),
    [
        ("<?xml version='1.0' encoding='iso-8859-1'?><x><o>é</o></x>".encode("latin-1"), b"<o>\xe9</o>", b"iso8859-1"),
        ("<?xml version='1.0' encoding='UTF-16'?><x><o>é</o></x>".encode("utf-16"), "<o>é</o>".encode(), b"utf-8"),
        ("\ufeff<x><o>é</o></x>".encode(), "<o>é</o>".encode(), None),
    ],
)
def test_other_encodings_are_read(document: bytes, payload: bytes, encoding: bytes | None) -> None:
    (batch,) = read_content(io.BytesIO(document), "x", ReadOptions())
    assert batch.column("__payload").to_pylist() == [payload]
    assert batch.schema.metadata[RECORD_FORMAT] == b"xml"
    assert batch.schema.metadata.get(XML_ENCODING) == encoding
    with pytest.raises(UsageError, match="says encoding='klingon', which is not known"):
        list(read_content(io.BytesIO(b"<?xml version='1.0' encoding='klingon'?><x/>"), "x", ReadOptions()))
