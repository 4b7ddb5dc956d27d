"""Whatever bytes a file holds: the run ends, it balances, and no payload is lost or altered."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pyarrow.dataset as ds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_pipelines.launch.cli import main

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: any
name: Anything
version: 1.0.0
status: active
schema:
  - name: anything
    properties:
      - {name: a, logicalType: integer, required: true}
      - {name: b, logicalType: string}
"""

GOOD_LINES = st.builds(
    lambda a, b: json.dumps({"a": a, "b": b}).encode(), st.integers(-5, 5), st.none() | st.text(max_size=5)
)
LINES = st.lists(GOOD_LINES | st.binary(max_size=30) | st.just(b'{"a":1}{"a":2}'), max_size=8).map(b"\n".join)
FILES = st.dictionaries(
    st.sampled_from(
        [f"{n}{suffix}" for n in range(4) for suffix in (".jsonl", ".csv", ".jsonl.gz", ".csv.zst", ".dat")]
    ),
    LINES | st.binary(max_size=200),
    min_size=1,
    max_size=8,
)


def records(folder: Path, lake: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Dead letters' payloads by the name of their file, with their positions."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    if (lake / "dead_letters").exists():
        for letter in ds.dataset(lake / "dead_letters", format="parquet").to_table().to_pylist():
            found.setdefault(letter["source"], []).append((letter["position"], letter["payload"]))
    return found


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
def test_arbitrary_files_are_read_to_the_byte(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder, lake = Path(home, "in"), Path(home, "lake")
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        Path(home, "c.yaml").write_text(CONTRACT)
        arguments = ["--input", f"{folder}/*", "--contract", f"{home}/c.yaml", "--output", str(lake), "--run_id", "r"]
        assert main(["run", "event_analytics", *arguments]) == 0
        balance = json.loads((lake / "_runs/r/balance.json").read_text())
        assert balance["balanced"]
        assert balance["read"] == balance["written"] + balance["dead_lettered"]
        letters = records(folder, lake)
        assert sum(map(len, letters.values())) == balance["dead_lettered"]
        for source, refused in letters.items():
            content = Path(source).read_bytes()
            if content[:2] == b"\x1f\x8b" or content[:4] == b"\x28\xb5\x2f\xfd":
                continue  # positions are those of the decompressed content
            for position, payload in refused:
                assert content[position : position + len(payload)] == payload
        for name, content in files.items():
            if name.endswith(".jsonl") and re.match(rb"\s*\{", content):
                rest = {payload for _, payload in letters.get(str(folder / name), [])}
                for line in content.split(b"\n"):
                    if line.strip() and line.removesuffix(b"\r") not in rest:
                        assert json.loads(line)["a"] is not None
