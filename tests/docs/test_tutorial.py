"""The tutorial's files and commands do what it shows."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(csv|console) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(console: str) -> list[tuple[str, list[str]]]:
    """Commands with the lines that are shown of their output; a here-document belongs to its command."""
    found: list[tuple[str, list[str]]] = []
    ends = None
    for line in console.splitlines():
        if ends is not None:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
            ends = None if line == ends else ends
        elif line.startswith("$ "):
            found.append((line[2:], []))
            ends = "END" if "<<'END'" in line else None
        else:
            found[-1][1].append(line)
    return found


def test_the_tutorial_does_what_it_shows(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "beam-pipelines"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m beam_pipelines "$@"\n')
    program.chmod(0o755)
    place = tmp_path / "place"
    place.mkdir()
    env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    ran = 0
    for kind, name, content in FENCE.findall((ROOT / "docs" / "tutorial.md").read_text()):
        if kind == "csv":
            (place / name).write_text(content)
            continue
        for command, shown in steps(content):
            done = subprocess.run(command, shell=True, cwd=place, env=env, capture_output=True, text=True, timeout=120)
            said = done.stdout + done.stderr
            assert done.returncode == (2 if any("try --csv_delimiter" in line for line in shown) else 0), said
            left = said
            for line in shown:
                pattern = ".*".join(re.escape(part) for part in line.split("…"))
                match = re.search(f"^{pattern}", left, re.MULTILINE)
                assert match, f"{command}\ndoesn't say\n{line}\nafter what came before it, but\n{said}"
                left = left[match.end() :]
            assert "Traceback" not in said
            assert "@example" not in said
            ran += 1
    assert ran == 12
    rows = ds.dataset(place / "lake" / "rows").to_table()
    assert sorted(rows["Order No"].to_pylist()) == [f"B-{n}" for n in (*range(1001, 1008), 1009, 1011)]
    assert set(rows["Customer"].to_pylist()) == set(rows["E-Mail"].to_pylist()) == {"***"}
    assert str(sum(rows["revenue"].to_pylist())) == "5811.80"  # by hand, from the two files
    balance = json.loads((place / "lake/_runs/sales/balance.json").read_text())
    assert (balance["written"], balance["dead_lettered"]) == (8, 3)
    assert "example.de" not in (place / "sales.html").read_text()
