"""Beam's own connector of databases, which is Java, on Prism: `python -m benchmarks.sinks.jdbc SOURCE OUTPUT STORE`.

It is the transform of Beam YAML's WriteToJdbc: `apache_beam.io.jdbc` wants an expansion service that isn't where Maven
looks. Times are cut to milliseconds, which Beam's rows have between Python and Java. Annotations have to be types here,
since Beam reads the row's.
"""

import decimal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.external import SchemaAwareExternalTransform
from apache_beam.typehints.schemas import LogicalType, MillisInstant
from apache_beam.utils.timestamp import Timestamp

from benchmarks.kafka import expansion
from benchmarks.sinks import data, side, stores
from scripts import prism

_WRITE = "beam:schematransform:org.apache.beam:jdbc_write:v1"
_POM = Path(__file__).with_name("expansion.xml")

LogicalType.register_logical_type(MillisInstant)


class Order(NamedTuple):
    """An order as a row of Beam's."""

    id: int
    country: str
    quantity: int
    price: float
    amount: decimal.Decimal
    placed_at: Timestamp
    note: str


beam.coders.registry.register_coder(Order, beam.coders.RowCoder)


def order(row: dict[str, Any]) -> Order:
    """A row as Beam's."""
    return Order(**{**row, "placed_at": Timestamp.of(row["placed_at"].timestamp())})


def orders(group: int, source: str) -> Iterator[Order]:
    """The rows of a row group."""
    for batch in data.batches(source, group):
        yield from map(order, batch.to_pylist())


def main(source: str, output: Path, name: str) -> None:
    """Write the orders, and what the store holds of them."""
    output.mkdir(parents=True, exist_ok=True)
    with stores.store(name, output) as place, expansion.running(output, _POM, "jdbc-expansion-service") as service:
        reached = place.reached
        url, driver = {
            "postgresql": ("postgresql://localhost:{}/postgres?stringtype=unspecified", "org.postgresql.Driver"),
            "mariadb": ("mariadb://127.0.0.1:{}/test", "org.mariadb.jdbc.Driver"),
        }[name]
        write = SchemaAwareExternalTransform(
            _WRITE,
            service,
            rearrange_based_on_discovery=True,
            jdbc_url=f"jdbc:{url.format(reached['port'])}",
            driver_class_name=driver,
            username=reached["user"],
            location="orders",
        )
        flags = ["--runner=PrismRunner", f"--prism_location={prism.binary()}"]
        with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
            groups = pipeline | beam.Create(data.groups(source)) | beam.Reshuffle()
            rows = groups | "Rows" >> beam.FlatMap(orders, source).with_output_types(Order)
            {"input": rows} | write
        side.tell(place, output)


if __name__ == "__main__":
    from benchmarks.sinks import jdbc as here  # what is in __main__ doesn't travel well

    here.main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
