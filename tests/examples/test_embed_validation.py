from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

from examples import embed_validation


def test_good_orders_are_added_up_exactly_and_the_others_written_with_every_reason(tmp_path: Path) -> None:
    embed_validation.main(["--output", str(tmp_path / "revenue"), "--runner", "FnApiRunner"])

    header, *lines = (tmp_path / "revenue.csv").read_text().splitlines()
    assert header == "country,revenue"
    revenue = {country: Decimal(amount) for country, amount in (line.split(",") for line in lines)}
    assert revenue == {
        "DE": Decimal("19.99") * 2 + Decimal("0.10") * 3,
        "FR": Decimal("5") + Decimal("0.20") * 3,
    }
    refused = [json.loads(line) for line in (tmp_path / "revenue.refused.jsonl").read_text().splitlines()]
    fields = {each["order"]["order_id"]: [reason.split(":")[0] for reason in each["reasons"]] for each in refused}
    assert fields == {
        3: ["country"],
        4: ["price", "quantity"],
        "6": ["order_id", "price", "ordered_at"],
        7: ["customer", "quantity"],
    }
    orders = [json.loads(line) for line in (embed_validation.DATA / "orders.jsonl").read_text().splitlines()]
    assert [each["order"] for each in refused] == [order for order in orders if order["order_id"] in fields]


def test_three_lines_do_it() -> None:
    source = Path(embed_validation.__file__).read_text()
    assert re.findall(r"# (\d)$", source, re.MULTILINE) == ["1", "2", "3"]
