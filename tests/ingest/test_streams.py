from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.ingest.damage import CORRUPT, TRUNCATED, Damage
from beam_pipelines.ingest.gzip_stream import gunzip
from beam_pipelines.ingest.zstd_stream import unzstd

CONTENT = b"".join(b'{"id": %d, "noise": "%x"}\n' % (n, random.Random(n).getrandbits(64)) for n in range(20_000))


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


CODECS = [
    pytest.param(gzip.compress, gunzip, id="gzip"),
    pytest.param(zstd, unzstd, id="zstd"),
]
Pack = Callable[[bytes], bytes]
Unpack = Callable[[Iterator[bytes]], Iterator[bytes]]


class Outcome(NamedTuple):
    content: bytes
    damage: Damage | None
    rest: bytes


def unpack(decompress: Unpack, stored: bytes, size: int = 1 << 20) -> Outcome:
    content = b""
    try:
        for chunk in decompress(stored[start : start + size] for start in range(0, len(stored), size)):
            content += chunk
    except Damage as damage:
        return Outcome(content, damage, b"".join(damage.rest))
    return Outcome(content, None, b"")


@pytest.mark.parametrize(("pack", "decompress"), CODECS)
@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_streams_one_after_another_are_one_content(pack: Pack, decompress: Unpack, size: int) -> None:
    content = CONTENT[:5000]
    stored = pack(content) + pack(b"") + pack(b"end")
    assert unpack(decompress, stored, size) == (content + b"end", None, b"")


@pytest.mark.parametrize(("pack", "decompress"), CODECS)
def test_a_cut_off_stream_gives_what_it_holds(pack: Pack, decompress: Unpack) -> None:
    stored = pack(CONTENT)
    content, damage, _ = unpack(decompress, stored[: len(stored) // 2])
    assert damage is not None
    assert damage.rule == TRUNCATED
    assert str(len(stored) // 2) in damage.message
    assert CONTENT.startswith(content)
    assert len(content) > len(CONTENT) // 4


@pytest.mark.parametrize(("pack", "decompress"), CODECS)
def test_a_flipped_byte_costs_nothing_before_it_and_the_rest_is_kept(pack: Pack, decompress: Unpack) -> None:
    stored = bytearray(pack(CONTENT))
    place = len(stored) // 2
    stored[place : place + 3] = b"\xff\xff\xff"
    content, damage, rest = unpack(decompress, bytes(stored))
    assert damage is not None
    assert damage.rule == CORRUPT
    same = next(n for n, (a, b) in enumerate(zip(content + b"\0", CONTENT + b"\1", strict=False)) if a != b)
    assert same > len(CONTENT) // 4
    assert rest
    assert bytes(stored).endswith(rest)
    assert damage.offset == len(stored) - len(rest)


@pytest.mark.parametrize(
    ("stored", "decompress"),
    [
        pytest.param(gzip.compress(b"last line without end")[:-8] + bytes(8), gunzip, id="gzip"),
        pytest.param(zstd(b"last line without end")[:-4] + bytes(4), unzstd, id="zstd"),
    ],
)
def test_a_wrong_checksum_loses_no_byte_of_content(stored: bytes, decompress: Unpack) -> None:
    content, damage, _ = unpack(decompress, stored)
    assert content == b"last line without end"
    assert damage is not None
    assert damage.rule == CORRUPT
    assert "rows read from it may be wrong" in damage.message


@pytest.mark.parametrize(("pack", "decompress"), CODECS)
def test_garbage_behind_the_stream_is_kept_as_it_is(pack: Pack, decompress: Unpack) -> None:
    content, damage, rest = unpack(decompress, pack(b"a\n") + b"garbage" * 1000, 512)
    assert (content, rest) == (b"a\n", b"garbage" * 1000)
    assert damage is not None
    assert (damage.rule, damage.offset) == (CORRUPT, len(pack(b"a\n")))


def test_zeros_behind_a_gzip_stream_are_padding() -> None:
    stored = gzip.compress(b"a") + bytes(9000) + gzip.compress(b"b") + bytes(3)
    assert unpack(gunzip, stored, 100) == (b"ab", None, b"")


def test_skippable_zstd_frames_are_skipped() -> None:
    frame = b"\x5e\x2a\x4d\x18" + (300_000).to_bytes(4, "little") + bytes(300_000)
    assert unpack(unzstd, frame + zstd(b"a") + frame, 1000) == (b"a", None, b"")


@pytest.mark.parametrize(("stored", "decompress"), [(b"plain text", gunzip), (b"plain text", unzstd)])
def test_what_is_no_stream_at_all_is_kept_whole(stored: bytes, decompress: Unpack) -> None:
    content, damage, rest = unpack(decompress, stored)
    assert (content, rest) == (b"", stored)
    assert damage is not None
    assert damage.rule == CORRUPT


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([gunzip, unzstd]),
    st.sampled_from(
        [b"\x1f\x8b\x08", b"\x1f\x8b\x08\x00\0\0\0\0\0\x03", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18\x02\0\0\0"]
    ),
    st.binary(max_size=300),
    st.integers(1, 50),
)
def test_a_stream_that_gives_nothing_is_kept_whole(decompress: Unpack, magic: bytes, noise: bytes, size: int) -> None:
    stored = magic + noise
    content, damage, rest = unpack(decompress, stored, size)
    if damage is not None:
        assert stored.endswith(rest) or damage.rule == TRUNCATED
        assert damage.offset + len(rest) == len(stored) or damage.rule == TRUNCATED
    if damage is not None and not content and not magic.startswith(b"\x50"):
        assert rest == stored


@pytest.mark.parametrize(
    ("stored", "decompress"),
    [
        pytest.param(gzip.compress(bytes(100 << 20), 9), gunzip, id="gzip"),
        pytest.param(zstd(bytes(100 << 20)), unzstd, id="zstd"),
    ],
)
def test_a_bomb_is_taken_in_small_portions(stored: bytes, decompress: Unpack) -> None:
    sizes = [len(chunk) for chunk in decompress(iter([stored]))]
    assert sum(sizes) == 100 << 20
    assert max(sizes) <= 2 << 20


def test_a_header_without_end_is_not_held() -> None:
    endless_name = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + b"x" * (3 << 20)
    content, damage, rest = unpack(gunzip, endless_name)
    assert content == b""
    assert damage is not None
    assert "gives nothing" in damage.message
    assert rest == endless_name


def test_raw_deflate_is_not_gzip() -> None:
    _, damage, rest = unpack(gunzip, zlib.compress(b"a"))
    assert damage is not None
    assert rest == zlib.compress(b"a")
