"""A row-wise Beam job as many have one, in which three lines (marked 1, 2, 3) validate its rows.

It reads orders as JSON Lines and writes the revenue of each country. Before, one order without a price
ended the job, and a price of -1 was simply added up. With the three lines, good rows go on as the
dicts they were, with the contract's types (prices are exact decimals now), and the others are written
beside the result with every reason why:

    python -m examples.embed_validation --output revenue
"""

import argparse
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines import BatchesToRows, ValidateRows, read_contract  # 1
from beam_pipelines.dead_letters import SCHEMA

DATA = Path(__file__).parent / "data"


def refusal(letter: dict[str, Any]) -> str:
    reasons = [f"{failure['field']}: {failure['message']}" for failure in letter["failures"]]
    return json.dumps({"order": json.loads(letter["payload"]), "reasons": reasons})


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", default=str(DATA / "orders.jsonl"))
    parser.add_argument("--output", required=True, help="prefix of the files to write")
    known, beam_arguments = parser.parse_known_args(argv)

    with beam.Pipeline(options=PipelineOptions(beam_arguments)) as pipeline:
        orders = pipeline | beam.io.ReadFromText(known.input) | beam.Map(json.loads)

        contract = read_contract(str(DATA / "orders.odcs.yaml"))  # 2
        orders, dead_letters, _ = orders | ValidateRows(contract)  # 3

        _ = (
            orders
            | beam.Map(lambda order: (order["country"], order["price"] * order["quantity"]))
            | beam.CombinePerKey(lambda amounts: sum(amounts, Decimal(0)))
            | beam.MapTuple(lambda country, revenue: f"{country},{revenue}")
            | "WriteRevenue"
            >> beam.io.WriteToText(known.output, ".csv", shard_name_template="", header="country,revenue")
        )
        _ = (
            dead_letters
            | BatchesToRows(SCHEMA)
            | beam.Map(refusal)
            | "WriteRefused" >> beam.io.WriteToText(known.output, ".refused.jsonl", shard_name_template="")
        )


if __name__ == "__main__":
    main()
