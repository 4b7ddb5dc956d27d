"""W1 in PySpark's DataFrames, all in the JVM: `from_json` in PERMISSIVE mode, and rules over its columns."""

from __future__ import annotations

import sys

from pyspark import StorageLevel
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F  # noqa: N812  as all of its guides write it

from benchmarks.events.data import COUNTRIES, KINDS
from benchmarks.events.rules import INNER, OUTER

_SCHEMA = "id STRING, at STRING, user STRING, country STRING, kind STRING, cents LONG, email STRING, corrupt STRING"
_ZONED = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"
_OPTIONS = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "corrupt"}


def _hashed(address: Column) -> Column:
    """Its HMAC, by the two hashes it is made of."""
    inner, outer = (F.unhex(F.lit(pad.hex())) for pad in (INNER, OUTER))
    digest = F.unhex(F.sha2(F.concat(inner, address.cast("binary")), 256))
    return F.substring(F.sha2(F.concat(outer, digest), 256), 1, 32)


def _text(name: str) -> Column:
    """Whether a field is text in the line: from_json reads numbers as text too."""
    return F.col("payload").rlike(f'"{name}": ?"')


def run(source: str, output: str) -> None:
    """Judge all lines, keep that, write the three outputs from it."""
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    lines = spark.read.text(source).withColumnRenamed("value", "payload")
    parsed = lines.select("payload", F.from_json("payload", _SCHEMA, _OPTIONS).alias("e")).select("payload", "e.*")
    fields = parsed.withColumn("at", F.when(F.col("at").rlike(_ZONED), F.try_to_timestamp("at")))
    # What isn't an object has nothing but nulls. from_json reads the first value of a line only.
    nothing = F.coalesce("id", "user", "country", "kind", "email", F.col("cents").cast("string")).isNull()
    is_record = ~nothing & F.col("payload").rlike(r"^\s*\{.*\}\s*$") & ~F.col("payload").rlike(r"\}\s*\{")

    def broken(rule: Column) -> Column:
        return ~F.coalesce(rule, F.lit(False))

    judged = fields.withColumn(
        "field",
        F.when(~is_record, "record")
        .when(broken(F.col("id").rlike("^e[0-9]+$") & _text("id")), "id")
        .when(F.col("at").isNull(), "at")
        .when(broken((F.col("user") != "") & _text("user")), "user")
        .when(broken(F.col("country").isin(*COUNTRIES)), "country")
        .when(broken(F.col("kind").isin(*KINDS)), "kind")
        .when(broken(F.col("cents") >= 1), "cents")
        .when(F.col("email").isNotNull() & ~_text("email"), "email"),
    ).persist(StorageLevel.MEMORY_AND_DISK)
    good = judged.where("field IS NULL")
    cleaned = good.select("id", "user", "country", "kind", "cents", "at", _hashed(F.col("email")).alias("email"))
    cleaned.write.parquet(f"{output}/rows")
    judged.where("field IS NOT NULL").select("payload", "field").write.parquet(f"{output}/dead_letters")
    (
        good.groupBy(F.date_trunc("minute", "at").alias("window_start"), "country", "kind")
        .agg(F.count("*").alias("events"), F.sum("cents").alias("total"), F.max("cents").alias("largest"))
        .write.parquet(f"{output}/aggregates")
    )
    spark.stop()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
