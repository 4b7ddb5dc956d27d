from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.ingest.content import ReadOptions, read_lines, split_ranges
from beam_pipelines.ingest.csv_records import csv_ends
from beam_pipelines.ingest.records import TOO_LONG, UNCLOSED_QUOTE, FindEnds, Records, line_ends, split_records

HUGE = 1 << 30


class Found(NamedTuple):
    """A record (without rule) or a refused one."""

    position: int
    rule: str
    payload: bytes


def cut(blocks: Iterator[bytes], find_ends: FindEnds, **options: object) -> list[Found]:
    found = []
    for part in split_records(blocks, find_ends, **options):  # type: ignore[arg-type]
        if isinstance(part, Records):
            assert part.payloads.type == pa.binary()
            assert part.positions.type == pa.int64()
            pairs = zip(part.positions.to_pylist(), part.payloads.to_pylist(), strict=True)
            found += [Found(position, "", payload) for position, payload in pairs]
        else:
            found += [Found(refusal.position, refusal.rule, refusal.payload) for refusal in part]
    return sorted(found)


def blocks_at(content: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = [0, *sorted({place % (len(content) + 1) for place in cuts}), len(content)]
    return (content[start:end] for start, end in itertools.pairwise(places) if end > start)


def without_return(line: bytes, content: bytes, end: int) -> bytes:
    return line[:-1] if end < len(content) and line.endswith(b"\r") else line


def in_pieces(line: bytes, position: int, most: int) -> list[Found]:
    return [Found(position + at, TOO_LONG, line[at : at + most]) for at in range(0, len(line), most)]


def naive_lines(content: bytes, most: int) -> list[Found]:
    found: list[Found] = []
    start = 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        line = without_return(content[start:end], content, end)
        if len(line) > most:
            found += in_pieces(line, start, most)
        elif line.strip(b" \t\r"):
            found.append(Found(start, "", line))
        start = end + 1
    return found


def naive_csv(content: bytes, delimiter: int, quote: int, most: int) -> list[Found]:
    """The rules of `csv_records` byte by byte."""
    found: list[Found] = []
    start = 0
    while start < len(content):
        at, state = start, "field start"
        while at < len(content):
            byte = content[at]
            if state == "quoted":
                if byte == quote:
                    if content[at + 1 : at + 2] == bytes([quote]):
                        at += 1
                    else:
                        state = "data"
            elif byte == 10:
                break
            elif byte == delimiter:
                state = "field start"
            elif byte == quote and state == "field start":
                state = "quoted"
            else:
                state = "data"
            at += 1
        line_end = content.find(b"\n", start)
        line_end = len(content) if line_end < 0 else line_end
        record = without_return(content[start:at], content, at)
        line = without_return(content[start:line_end], content, line_end)
        never_closed = at >= len(content) and state == "quoted"
        if never_closed or (at > line_end and len(record) > most):
            found += in_pieces(line, start, most) if len(line) > most else [Found(start, UNCLOSED_QUOTE, line)]
            start = line_end + 1
        elif len(record) > most:
            found += in_pieces(record, start, most)
            start = at + 1
        else:
            found += [Found(start, "", record)] if record else []
            start = at + 1
    return found


LINES = st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b" ", b"\t", b"{}", b'{"a":1}', b"\x00", b"\xff", b"x" * 9]))
CSV = st.lists(
    st.sampled_from([b'"', b'"', b'""', b",", b"\n", b"\n", b"\r\n", b"\r", b"a", b"bc", b" ", b',"', b'",'])
)
CUTS = st.lists(st.integers(0, 100), max_size=8)


@settings(max_examples=250, deadline=None)
@given(LINES.map(b"".join), CUTS, st.integers(1, 20) | st.just(HUGE))
@example(b"abc\r\n", [4], 3)
@example(b"\n", [], 1)
@example(b"abcd\r", [], 4)
def test_lines_are_those_of_a_naive_reader_wherever_blocks_are_cut(content: bytes, cuts: list[int], most: int) -> None:
    assert cut(blocks_at(content, cuts), line_ends, max_record_bytes=most) == naive_lines(content, most)


@settings(max_examples=250, deadline=None)
@given(LINES.map(b"".join), st.integers(1, 40), st.integers(1, 20) | st.just(HUGE))
def test_ranges_of_a_file_give_each_line_once(content: bytes, split_bytes: int, most: int) -> None:
    found = []
    for start, stop in split_ranges(len(content), split_bytes):
        options = ReadOptions(max_record_bytes=most)
        for batch in read_lines(io.BytesIO(content), "f", start, stop, options):
            rules = (
                [row[0]["rule"] if row else "" for row in batch.column(FAILURES).to_pylist()]
                if (FAILURES in batch.schema.names)
                else [""] * batch.num_rows
            )
            pairs = zip(
                batch.column("__position").to_pylist(), rules, batch.column("__payload").to_pylist(), strict=True
            )
            found += [Found(*row) for row in pairs]
    assert sorted(found) == naive_lines(content, most)


@settings(max_examples=500, deadline=None)
@given(CSV.map(b"".join), CUTS, st.integers(1, 20) | st.just(HUGE))
@example(b'5" pipe,"a\nb"\n', [], HUGE)
@example(b'"a"x"\n,"\n"\n', [3, 7], HUGE)
@example(b'"a\n"b,c\n', [], 2)
@example(b'"a""\n""b\n', [4], HUGE)
def test_csv_records_are_those_of_a_state_machine_wherever_blocks_are_cut(
    content: bytes, cuts: list[int], most: int
) -> None:
    expected = naive_csv(content, ord(","), ord('"'), most)
    options = {"max_record_bytes": most, "skip_blank": False}
    assert cut(blocks_at(content, cuts), csv_ends(max_record_bytes=most), **options) == expected


@pytest.mark.parametrize("stray", [b'5" pipe', b'"5" pipe', b'5""'])
def test_many_stray_quotes_end_no_record(stray: bytes) -> None:
    lines = [b"%d,%s,plain" % (number, stray) for number in range(5000)]
    content = b"\r\n".join(lines)
    assert [row.payload for row in cut(iter([content]), csv_ends(), skip_blank=False)] == lines


def test_another_delimiter_and_quote_are_obeyed() -> None:
    content = b"1;'a;\nb';\"\n2;'';c\n"
    found = cut(iter([content]), csv_ends(delimiter=b";", quote=b"'"), skip_blank=False)
    assert [row.payload for row in found] == [b"1;'a;\nb';\"", b"2;'';c"]


def test_without_a_quote_every_newline_ends_a_record() -> None:
    assert [row.payload for row in cut(iter([b'"a\nb"']), csv_ends(quote=b""), skip_blank=False)] == [b'"a', b'b"']


def test_an_unclosed_quote_costs_one_line_and_not_the_rest() -> None:
    content = b'1,a\n2,"b\n3,c\n' + b"4,d\n" * 1000
    found = cut(iter([content]), csv_ends(), skip_blank=False)
    assert [row for row in found if row.rule] == [Found(4, UNCLOSED_QUOTE, b'2,"b')]
    assert len(found) == 1003


def test_a_line_of_100_mb_comes_in_pieces_and_is_never_held() -> None:
    block = b"x" * (4 << 20)
    blocks = iter([b'{"a":1}\n', *([block] * 25), b'end\r\n{"b":2}'])
    found, longest = [], 0
    for part in split_records(blocks, line_ends, max_record_bytes=16 << 20):
        if isinstance(part, Records):
            found += part.payloads.to_pylist()
        else:
            assert len(part) == 1
            longest += len(part[0].payload)
            assert part[0].rule == TOO_LONG
            assert len(part[0].payload) <= 16 << 20
            assert part[0].payload.strip(b"x") in (b"", b"end")
    assert found == [b'{"a":1}', b'{"b":2}']
    assert longest == 25 * len(block) + 3
