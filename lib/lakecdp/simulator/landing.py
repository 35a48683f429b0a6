"""Writes deliveries: one folder per source and delivery, in any file system that Hadoop knows."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from lakecdp.platform.fs import exists, hadoop_path
from lakecdp.simulator.randomness import lookup
from lakecdp.simulator.world import World

# Two characters that no line contains: the CSV writer then writes a line as it is.
_NO_SEPARATOR, _NO_QUOTE = "\x01", "\x02"


def write_lines(
    frame: DataFrame, world: World, landing: str, source: str, header: Sequence[str] = ()
) -> int:
    """Writes lines to {landing}/{source}/{day of the delivery}/part-NNNNN.json or .csv.

    A folder is replaced as a whole, so that a repeated call changes nothing.

    Args:
        frame: value STRING and delivery INT.
        world: The company and the deliveries asked for.
        landing: Root of the landing files.
        source: Name of the source.
        header: Column names for CSV files; JSON lines otherwise.

    Returns:
        The number of lines, headers not counted.
    """
    spark = frame.sparkSession
    staging = f"{landing.rstrip('/')}/.staging-{source}"
    seen = Observation()
    name = ",".join(header) or "value"
    observed = frame.withColumnRenamed("value", name).observe(
        seen, F.count(F.lit(1)).alias("lines")
    )
    writer = observed.write.mode("overwrite").partitionBy("delivery")
    if header:
        writer.options(
            header=True,
            sep=_NO_SEPARATOR,
            quote=_NO_QUOTE,
            escape=_NO_QUOTE,
            emptyValue="",
            ignoreLeadingWhiteSpace=False,
            ignoreTrailingWhiteSpace=False,
        ).csv(staging)
    else:
        writer.text(staging)
    ending = "csv" if header else "json"
    _publish(spark, world, staging, f"{landing.rstrip('/')}/{source}", ending)
    return int(seen.get["lines"])


def _publish(spark: SparkSession, world: World, staging: str, target: str, ending: str) -> None:
    """Moves what was written to its final folders and names."""
    files, source = hadoop_path(spark, staging)
    files.mkdirs(hadoop_path(spark, target)[1])
    for folder in files.listStatus(source):
        key, _, value = str(folder.getPath().getName()).partition("=")
        if key != "delivery":
            continue
        place = folder.getPath().toString()
        parts = sorted(part.getPath().getName() for part in files.listStatus(folder.getPath()))
        for number, part in enumerate(part for part in parts if part.startswith("part-")):
            name = f"{place}/part-{number:05d}.{ending}"
            files.rename(hadoop_path(spark, f"{place}/{part}")[1], hadoop_path(spark, name)[1])
        final = hadoop_path(spark, f"{target}/{world.day_text(int(value))}")[1]
        files.delete(final, True)
        files.rename(folder.getPath(), final)
    files.delete(source, True)


def write_products(spark: SparkSession, world: World, landing: str) -> int:
    """Writes {landing}/products/{first day}/part-00000.csv and returns the number of products."""
    rows = [
        (item.sku, item.name, item.category, item.brand, str(item.price), str(item.cost))
        for item in world.products
    ]
    lines = [",".join(_quote(field) for field in row) for row in rows]
    # Rows from SQL: a frame made of Python rows would start a Python worker.
    frame = spark.range(0, len(lines), 1, 1).select(
        F.expr(lookup(lines, "id")).alias("value"), F.lit(0).alias("delivery")
    )
    header = ("sku", "name", "category", "brand", "price", "cost")
    return write_lines(frame, world, landing, "products", header)


def _quote(field: str) -> str:
    inner = field.replace('"', '""')
    return f'"{inner}"' if "," in field or '"' in field else field


def write_truth(frame: DataFrame, world: World, truth: str, table: str) -> None:
    """Writes a truth table as Parquet; with a column `delivery`, only the deliveries asked for."""
    target = f"{truth.rstrip('/')}/{table}"
    if "delivery" not in frame.columns:
        frame.write.mode("overwrite").parquet(target)
        return
    writer = frame.write.mode("overwrite").partitionBy("delivery")
    writer.option("partitionOverwriteMode", "dynamic").parquet(target)
    first = f"{target}/delivery={world.first}"
    if not exists(frame.sparkSession, first):
        # A table without rows would leave nothing that could be read.
        frame.drop("delivery").limit(0).write.parquet(first)
