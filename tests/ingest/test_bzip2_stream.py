from __future__ import annotations

import bz2
import io
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.ingest.bzip2_stream import unbzip2
from beam_pipelines.ingest.content import ReadOptions, read_content
from beam_pipelines.ingest.damage import Damage

LINES = [b'{"n": %d, "x": "%x"}' % (n, random.Random(n).getrandbits(200)) for n in range(20_000)]
CONTENT = b"\n".join(LINES)
STORED = bz2.compress(CONTENT, 1)  # blocks of 100 kB


def read(stored: bytes) -> tuple[bytes, Damage | None]:
    content = b""
    try:
        for chunk in unbzip2(iter([stored[at : at + 70_000] for at in range(0, len(stored), 70_000)])):
            content += chunk
    except Damage as damage:
        return content, damage
    return content, None


def test_all_streams_are_read() -> None:
    assert read(STORED + bz2.compress(b"more")) == (CONTENT + b"more", None)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(STORED) - 1), st.booleans())
def test_the_blocks_before_the_damage_are_kept_and_no_stored_byte_behind_is_lost(place: int, cut: bool) -> None:
    broken = STORED[:place] if cut else STORED[:place] + bytes([STORED[place] ^ 0xFF]) + STORED[place + 1 :]
    content, damage = read(broken)
    assert damage is not None or broken == b""
    assert CONTENT.startswith(content)
    # Blocks of 100 kB give some 90 kB; all but the broken one are there (the last checksum is of all of them).
    assert len(content) > (place / len(STORED) - 0.15) * len(CONTENT) - 100_000
    if damage is not None and damage.rule == "file.corrupt":
        rest = b"".join(damage.rest)
        assert broken.endswith(rest)
        assert len(rest) >= len(broken) - damage.offset


def test_a_broken_file_keeps_its_whole_records() -> None:
    broken = bytearray(STORED)
    broken[len(broken) // 2] ^= 0xFF
    batches = list(read_content(io.BytesIO(bytes(broken)), "a.bz2", ReadOptions()))
    rows = [row for batch in batches if FAILURES not in batch.schema.names for row in batch["__payload"].to_pylist()]
    rules = [batch[FAILURES][0][0]["rule"].as_py() for batch in batches if FAILURES in batch.schema.names]
    assert rows == LINES[: len(rows)]
    assert len(rows) > 0.3 * len(LINES)
    assert set(rules) == {"file.corrupt", "file.undecodable"}
