"""Bodies: what is unpacked of them, how they are split, and what is refused before it takes memory."""

from __future__ import annotations

import gzip

import pytest

from beam_pipelines.ingest_server.body import Body, media_type, records_in
from beam_pipelines.ingest_server.refusal import RefusalError

JSON, LINES = "application/json", "application/x-ndjson"


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_gzip_of_one_or_several_parts_is_unpacked_as_it_comes(step: int) -> None:
    packed = gzip.compress(b'{"n": 1}\n') + gzip.compress(b'{"n": 2}\n')
    body = Body("gzip", 18)
    assert sum(body.add(packed[place : place + step]) for place in range(0, len(packed), step)) == 18
    assert body.whole() == b'{"n": 1}\n{"n": 2}\n'


def test_what_unpacks_to_more_than_is_taken_is_refused_before_it_is_unpacked() -> None:
    body = Body("gzip", 1000)
    with pytest.raises(RefusalError, match="longer than 1000 bytes"):
        body.add(gzip.compress(b"x" * 50_000_000))
    assert len(body._held) <= 1001


def test_exactly_as_much_as_is_taken_is_taken() -> None:
    assert Body("gzip", 1000).add(gzip.compress(b"x" * 1000)) == 1000
    assert Body("", 1000).add(b"x" * 1000) == 1000


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (gzip.compress(b"{}" * 99)[:-3], "ends before its gzip stream does"),
        (b"", "ends before its gzip stream does"),
        (b"not gzip at all", "is not gzip"),
        (gzip.compress(b"{}") + b"and something behind", "is not gzip"),
    ],
)
def test_what_is_no_whole_gzip_is_refused(packed: bytes, message: str) -> None:
    body = Body("gzip", 1000)
    with pytest.raises(RefusalError, match=f"400 .*{message}"):
        (body.add(packed), body.whole())


@pytest.mark.parametrize(
    ("body", "kind", "payloads", "lines"),
    [
        (b'\xef\xbb\xbf {"a":\n 1}\n', JSON, [b'{"a":\n 1}'], None),
        (b'[ {"a": [1, 2]} ,{}]', JSON, [b'{"a": [1, 2]}', b"{}"], None),
        (b'{"a": 1}\r\n\r\n {"b": 2}', LINES, [b'{"a": 1}', b'{"b": 2}'], [1, 3]),
        ('{"ä": "…"}'.encode(), LINES, ['{"ä": "…"}'.encode()], [1]),
    ],
)
def test_records_are_as_they_were_written(body: bytes, kind: str, payloads: list[bytes], lines: list[int]) -> None:
    assert records_in(body, kind, 2) == (payloads, lines)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"a": "\xff"}', JSON, 400),
        (b"[{}, {}, {}]", JSON, 413),
        (b"{}\n{}\n{}", LINES, 413),
        (b"[{}", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"[]", JSON, 400),
        (b" \n\n", LINES, 400),
        (b"", JSON, 400),
    ],
)
def test_what_holds_no_records_or_too_many_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(RefusalError) as refused:
        records_in(body, kind, 2)
    assert refused.value.status == status


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json; charset=latin-1"])
def test_types_that_a_web_page_may_send_without_asking_are_refused(kind: str) -> None:
    with pytest.raises(RefusalError, match="415"):
        media_type(kind)
