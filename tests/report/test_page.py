"""The page of a real run, as a browser shows it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from beam_pipelines import report
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode

CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: orders
version: 1.2.0
status: active
schema:
  - name: orders
    properties:
      - {name: at, logicalType: timestamp, physicalType: TIMESTAMP, required: true,
         customProperties: [{property: eventTime, value: true}]}
      - {name: shop, logicalType: string, physicalType: STRING, required: true}
      - {name: price, logicalType: number, physicalType: DOUBLE, logicalTypeOptions: {minimum: 0}}
      - {name: mail, logicalType: string, physicalType: STRING, classification: pii,
         customProperties: [{property: mask, value: redact}]}
"""
CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=2000",
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    rows = [
        {
            "at": f"2026-03-{1 + number // 24:02}T{number % 24:02}:30:00Z",
            "shop": "ab"[number % 2],
            "price": number / 4,
            "mail": f"someone{number}@example.org",
        }
        for number in range(240)
    ]
    rows[5]["price"] = -1.0
    rows[6]["shop"] = None
    (folder / "orders.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "orders.odcs.yaml").write_text(CONTRACT)
    options = {
        "input": folder / "*.jsonl",
        "contract": folder / "orders.odcs.yaml",
        "output": folder / "lake",
        "run_id": "march",
        "window": "fixed:1d",
        "group_by": "shop",
        "aggregate": "count(*) as orders, avg(price) as mean_price",
    }
    told = main(["run", "event_analytics", *(f"--{name}={value}" for name, value in options.items())])
    assert told == ExitCode.OK
    return folder / "lake"


@pytest.fixture(scope="module")
def page(lake: Path) -> str:
    return (lake / "_runs" / "march" / "report.html").read_text()


def _text(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))


def test_a_run_leaves_its_report_with_the_counts_of_its_balance(page: str) -> None:
    text = _text(page)
    assert "balanced to the row" in text
    assert "240 read" in text
    assert "238 written" in text
    assert "2 dead-lettered" in text
    assert "FnApiRunner, in this process" in text
    assert "contract orders 1.2.0" in text


def test_the_steps_are_drawn_with_the_rows_between_them(page: str) -> None:
    drawn = page[page.index("What became of the rows") : page.index("Aggregates over event time")]
    for step in ("Read", "Decode", "Validate", "Mask", "WriteRows", "WriteInvalid", "WriteAggregates"):
        assert f">{step}</text>" in drawn
    counts = re.findall(r">([\d,]+)</text>", drawn)
    assert {"240", "238", "2", "20"} <= set(counts)


def test_aggregates_are_plotted_over_time_totals_for_counts(page: str) -> None:
    text = _text(page)
    assert "orders total of all groups" in text
    assert "mean_price median of the groups" in text
    assert page.count("<polyline") == 2
    assert "2026-03-01" in text


def test_columns_tell_nulls_ranges_and_distincts_but_nothing_of_sensitive_ones(page: str) -> None:
    text = _text(page)
    assert re.search(r"price double 0\.00% 238 0 59\.75", text), text[text.index("Columns of rows") :][:600]
    assert re.search(r"mail string [\d.]+% \d+ sensitive: not shown", text)


def test_nothing_of_a_payload_or_a_masked_value_is_in_the_page(page: str) -> None:
    assert "someone" not in page
    assert '"mail": "xxxxxxx9@xxxxxxx.xxx"' in html.unescape(page)


def test_the_page_needs_no_other_file(page: str) -> None:
    assert not re.search(r"(src|href)=|@import|url\((?!#)", page)


def test_words_of_options_cannot_become_markup(lake: Path) -> None:
    manifest = lake / "_runs" / "march" / "manifest.json"
    kept = manifest.read_text()
    told = json.loads(kept)
    told["options"]["input"] = ["<script>alert(1)</script>"]
    try:
        manifest.write_text(json.dumps(told))
        assert "<script>" not in report.html(str(lake))
    finally:
        manifest.write_text(kept)


@pytest.mark.parametrize("width", [500, 1280])
def test_a_browser_shows_it_without_sideways_scrolling(page: str, width: int, tmp_path: Path) -> None:
    program = shutil.which("chromium")
    assert program is not None, "chromium is missing: make servers installs it"
    measure = (
        "<script>addEventListener('load', () => document.body.append("
        "`measured ${document.documentElement.scrollWidth} of ${innerWidth}, `"
        " + `${document.querySelectorAll('svg').length} drawings`))</script>"
    )
    (tmp_path / "page.html").write_text(page.replace("</body>", f"{measure}</body>"))
    shown = subprocess.run(
        [
            program,
            *CHROMIUM,
            f"--user-data-dir={tmp_path / 'user'}",
            f"--window-size={width},900",
            "--dump-dom",
            f"file://{tmp_path / 'page.html'}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    found = re.search(r"measured (\d+) of (\d+), (\d+) drawings", shown)
    assert found is not None, "the page's script ran"
    scroll, inner, drawings = map(int, found.groups())
    assert inner == width
    assert scroll <= inner
    assert drawings == 3


def test_the_command_writes_the_page_elsewhere_and_names_what_is_missing(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(lake), "--to", str(tmp_path / "a.html")]) == ExitCode.OK
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert main(["report", str(lake), "--run_id", "marhc"]) == ExitCode.USAGE
    assert "Did you mean 'march'?" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == ExitCode.USAGE
    assert "is no lake with a committed run" in capsys.readouterr().err
    assert main(["report", str(lake), "--to", str(tmp_path / "no" / "a.html")]) == ExitCode.USAGE
    assert "--to: can't write" in capsys.readouterr().err
