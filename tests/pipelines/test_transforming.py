"""`event_analytics` with everything that changes rows, and what is told when it can't be done."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.cli import main
from beam_pipelines.pipelines.steps import tables
from beam_pipelines.pipelines.steps.join_grammar import parse_join, parse_masks, parse_pivot, parse_unpivot

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: orders
name: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, required: true}
      - name: at
        logicalType: timestamp
        required: true
        customProperties: [{property: eventTime, value: true}]
      - {name: shop, logicalType: string}
      - {name: price, logicalType: number, physicalType: "decimal(10,2)"}
      - {name: quantity, logicalType: integer}
      - name: email
        logicalType: string
        classification: restricted
        customProperties: [{property: mask, value: "keep_last:4"}]
      - {name: code, logicalType: string}
"""
ORDERS = [
    {"id": n, "at": f"2024-05-0{1 + n % 3}T0{n % 9}:00:00Z", "shop": ["a", "b", "x", None][n % 4],
     "price": "1.50", "quantity": n - 5, "email": f"u{n}@mail{n % 2}.org", "code": "x" if n == 7 else str(n)}
    for n in range(40)
]  # fmt: skip
SHOPS = "shop,name,city,opened\na,Alpha,Ulm,2020-01-01\nb,Beta,Köln,2021-01-01\nc,Gamma,,\n"
PRICES = "shop,since,rate\na,2024-05-01T00:00:00Z,1.0\na,2024-05-02T03:00:00Z,2.0\nb,2024-05-01T00:00:00Z,3.0\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "orders.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ORDERS))
    (tmp_path / "orders.odcs.yaml").write_text(CONTRACT)
    (tmp_path / "shops.csv").write_text(SHOPS)
    (tmp_path / "prices.csv").write_text(PRICES)
    return tmp_path


def arguments(place: Path, *more: str) -> list[str]:
    return [
        *("run", "event_analytics", "--input", f"{place}/orders.jsonl", "--contract", f"{place}/orders.odcs.yaml"),
        *("--output", f"{place}/lake", "--run_id", "r", *more),
    ]


def test_rows_are_joined_derived_filtered_and_selected_as_duckdb_does(place: Path) -> None:
    assert (
        main(
            arguments(
                place,
                *("--join", f"required {place}/shops.csv on shop take (name, city as town)"),
                *("--join", f"inner {place}/prices.csv on shop asof at = since within 1d12h take (rate)"),
                *("--derive", "net = price * quantity * cast(rate as decimal(4, 1))"),
                *(
                    "--derive",
                    "number = cast(code as int), domain = split_part(email, '@', 2), town = coalesce(town, '?')",
                ),
                *("--mask_derived", "domain=none"),
                *("--where", "town <> 'Nowhere', quantity > -4", "--where", "net <> 0 or town = 'Ulm'"),
                *("--select", "* exclude (code, at), at as ordered"),
                *("--window", "fixed:1d", "--group_by", "name", "--aggregate", "count(*) as n, sum(net) as net"),
            )
        )
        == 0
    )
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        expected = database.execute(
            f"""WITH o AS (SELECT * REPLACE ("at"::TIMESTAMPTZ AS "at", price::DECIMAL(10, 2) AS price)
                        FROM '{place}/orders.jsonl'),
            j AS (SELECT o.*, name, city AS town FROM o JOIN '{place}/shops.csv' s USING (shop) WHERE quantity > -4),
            t AS (SELECT j.*, rate, since FROM j ASOF JOIN '{place}/prices.csv' p
                  ON j.shop = p.shop AND j."at" >= p.since)
            SELECT id, shop, price, quantity, repeat('*', length(email) - 4) || right(email, 4), name,
                   coalesce(town, '?'), rate, price * quantity * rate::DECIMAL(4, 1) AS net,
                   try_cast(code AS INT) AS number, split_part(email, '@', 2), "at"
            FROM t WHERE "at" - since <= INTERVAL 36 HOURS AND number IS NOT NULL
            AND (net <> 0 OR town = 'Ulm') ORDER BY id"""
        ).fetchall()
        found = database.execute(f"SELECT * FROM '{place}/lake/rows/*.parquet' ORDER BY id").fetchall()
        assert len(expected) > 5
        assert found == expected
        letters = database.execute(
            f"SELECT transform, rule, field, message, event_time IS NOT NULL, count(*) "
            f"FROM '{place}/lake/dead_letters/*.parquet' GROUP BY ALL ORDER BY 1"
        ).fetchall()
    lost = sum(row["shop"] not in ("a", "b") and row["quantity"] > -4 for row in ORDERS)
    assert ("JoinTable", "join.unmatched", "shop", "shops.csv has no row with this shop", True, lost) in letters
    balance = json.loads((place / "lake/_runs/r/balance.json").read_text())
    assert balance["balanced"] is True
    assert balance["read"] == 40 == balance["written"] + balance["dead_lettered"] + balance["filtered"]
    manifest = json.loads((place / "lake/_runs/r/manifest.json").read_text())
    assert manifest["contract"]["sensitive"] == ["email"]
    unmatched = [each for each in balance["stages"] if each["outcome"] == "unmatched"]
    assert {each["rule"] for each in unmatched} == {"shops.csv", "prices.csv"}


def test_a_foreign_key_of_the_contract_is_checked_and_a_null_refers_to_nothing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "relationships: [{type: foreignKey, to: shops.shop}]"
    related = CONTRACT.replace("{name: shop, logicalType: string}", f"{{name: shop, logicalType: string, {key}}}")
    shops = "  - name: shops\n    properties: [{name: shop, logicalType: string}]\n"
    (place / "orders.odcs.yaml").write_text(related + shops)
    (place / "orders.odcs.yaml").rename(place / "both.odcs.yaml")
    contract = ["--contract", f"{place}/both.odcs.yaml#orders"]
    asked = [part for part in arguments(place) if part not in ("--contract", f"{place}/orders.odcs.yaml")] + contract
    assert main([*asked, "--references", f"shop={place}/shops.csv"]) == 2
    assert "no foreign key of orders refers to 'shop'. Did you mean 'shops'?" in capsys.readouterr().err
    described = f"shops={place}/shops.csv contract {place}/both.odcs.yaml#shops"
    assert main([*asked, "--references", described]) == 0
    balance = json.loads((place / "lake/_runs/r/balance.json").read_text())
    unknown = sum(row["shop"] == "x" for row in ORDERS)
    assert (balance["dead_letters_by_rule"], balance["written"]) == ({"join.unmatched": unknown}, 40 - unknown)


def test_columns_become_rows_and_rows_columns(place: Path) -> None:
    assert (
        main(
            arguments(
                place,
                *("--unpivot", "quantity, price into what, much", "--pivot", "id on what (price, quantity) using much"),
                *("--where", "price < 2", "--derive", "half = price / 2"),
            )
        )
        == 0
    )
    with duckdb.connect() as database:
        found = database.execute(
            f"SELECT id, price, quantity, half FROM '{place}/lake/rows/*.parquet' ORDER BY id"
        ).fetchall()
    assert [(row[0], float(row[1]), float(row[2]), row[3]) for row in found] == [
        (row["id"], 1.5, float(str(row["quantity"])), 0.75) for row in ORDERS
    ]
    balance = json.loads((place / "lake/_runs/r/balance.json").read_text())
    assert (balance["balanced"], balance["added"], balance["merged"], balance["written"]) == (True, 40, 40, 40)


def test_a_column_made_from_a_sensitive_one_is_sensitive_in_the_run_s_report(place: Path) -> None:
    more = [
        "--derive",
        "short = left(email, 2), plain = id + 1",
        "--mask_derived",
        "short=redact",
        "--select",
        "* exclude (email)",
    ]
    assert main(arguments(place, *more)) == 0
    manifest = json.loads((place / "lake/_runs/r/manifest.json").read_text())
    assert manifest["contract"]["sensitive"] == ["email", "short"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--where", "prise > 1"], "--where: no column 'prise'. Did you mean 'price'?"),
        (["--derive", "x = uper(shop)"], "--derive: column 'x': function UPER is not supported. Did you mean 'UPPER'?"),
        (["--derive", "price + 1"], "--derive: 'price + 1' doesn't have the form NAME = EXPRESSION"),
        (["--derive", "short = left(email, 2)"], "--mask_derived 'short=none'"),
        (["--mask_derived", "domian=none", "--derive", "domain = email"], "no column 'domian' is derived"),
        (["--mask_derived", "x=hide"], "--mask_derived: mask 'hide' is not one of drop, redact"),
        (["--select", "id, nme"], "--select: no column 'nme'"),
        (["--explode", "shop"], "--explode: column 'shop' is string, not an array"),
        (["--flatten", "shop"], "--flatten: there is no struct 'shop' to flatten. There is none."),
        (["--join", "{place}/shops.csv carrier"], "--join: '{place}/shops.csv carrier' doesn't have the form"),
        (["--join", "{place}/nothing.csv on shop"], "--join or --references: '{place}/nothing.csv' matches no file"),
        (["--csv_delimiter", ";", "--join", "{place}/shops.csv on shop"], "separated by --csv_delimiter, as"),
        (["--join", "{place}/shops.csv on shp"], "no column 'shp' to join by. Did you mean 'shop'?"),
        (["--join", "{place}/shops.csv on shop = nme"], "shops.csv has no column 'nme' to join by. Did you mean"),
        (["--join", "{place}/shops.csv on id = shop"], "'id' is int64 and 'shop' string: keys of different types"),
        (["--join", "{place}/prices.csv on shop asof at = since within 3 h"], "doesn't have the form"),
        (["--join", "{place}/prices.csv on shop asof at = since within 3y"], "--join: duration '3y'"),
        (["--unpivot", "price"], "--unpivot: 'price' doesn't have the form 'COLUMNS into NAMES, VALUES'"),
        (["--pivot", "id on shop"], "--pivot: 'id on shop' doesn't have the form"),
    ],
)  # fmt: skip
def test_what_can_t_be_done_is_told_before_anything_runs(
    place: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(place, *(option.format(place=place) for option in options))) == 2
    assert message.format(place=place) in " ".join(capsys.readouterr().err.split())
    assert not (place / "lake/_runs/r/manifest.json").exists()


@pytest.mark.parametrize(
    ("table", "join", "message"),
    [
        ("shop,name\na,A\na,B\n", "on shop", "shops.csv has 1 rows whose shop another row has already"),
        ("shop,name\n", "on shop", "shops.csv is empty"),
        ("shop,rank\n" + "".join(f"s{n},{n}\n" for n in range(20)) + "c,x\n", "on shop", "Its types were told from"),
        ("shop,name\na,A\n", "contract {place}/orders.odcs.yaml on shop take ()", "can't be trusted: .*required"),
    ],
)
def test_a_table_that_is_wrong_fails_the_run(
    place: Path,
    table: str,
    join: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "_HEAD", 64)
    (place / "shops.csv").write_text(table)
    assert main(arguments(place, "--join", f"{place}/shops.csv {join.format(place=place)}")) != 0
    assert re.search(message, " ".join(capsys.readouterr().err.split()))


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_join, "a.csv"),
        (parse_join, "outer a.csv on b"),
        (parse_join, "a.csv on (b = , c)"),
        (parse_unpivot, "into a, b"),
        (parse_pivot, "a on b () using c"),
        (lambda text: parse_masks([text]), "x"),
    ],
)
def test_specs_of_another_form_are_refused(parse: Any, text: str) -> None:
    with pytest.raises(UsageError, match="--"):
        parse(text)
