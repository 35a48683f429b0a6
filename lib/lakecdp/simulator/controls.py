"""Control totals beside the files of the tills: what each file should hold."""

from __future__ import annotations

from decimal import Decimal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.platform.fs import list_files, write_bytes
from lakecdp.simulator.flaws import MALFORMED
from lakecdp.simulator.world import World, add

MANIFEST = "manifest.csv"
HEADER = "file,records,amount"
_CENT = Decimal("0.01")


def with_cuts(frame: DataFrame, world: World) -> DataFrame:
    """Adds cut BOOLEAN: lines of a truncated delivery that do not arrive.

    Args:
        frame: Lines with h, line, back, copy and delivery.
        world: The company and the deliveries asked for.
    """
    part = world.draw.happens(world.settings.losses.truncated_part, "cut", "h", "line", "back")
    return add(frame, cut=f"{_truncated(world)} and copy <> {MALFORMED} and {part}")


def _truncated(world: World) -> str:
    return world.draw.happens(world.settings.losses.truncated_share, "truncated", "delivery")


def _wrong(world: World) -> str:
    return world.draw.happens(world.settings.losses.wrong_amount_share, "wrong amount", "delivery")


def truth(frame: DataFrame, world: World) -> DataFrame:
    """One row per delivery of the tills whose control totals and lines do not agree.

    delivery INT, day DATE (its folder), records_cut BIGINT, amount_cut DECIMAL(14,2) CNY, wrong
    BOOLEAN (the amount of its first file is overstated by `wrong_amount_by`).

    Args:
        frame: Result of `with_cuts`, with quantity and price.
        world: The company and the deliveries asked for.
    """
    cut = frame.where("cut").groupBy("delivery").agg(
        F.count(F.lit(1)).alias("records_cut"),
        F.expr("cast(sum(quantity * price) as decimal(14,2))").alias("amount_cut"),
    )  # fmt: skip
    days = frame.sparkSession.range(world.first, world.last + 1, 1, 1)
    days = add(days.selectExpr("cast(id as int) as delivery"), wrong=_wrong(world))
    days = days.join(F.broadcast(cut), "delivery", "left").where("wrong or records_cut > 0")
    return days.select(
        F.expr(world.date_sql("delivery")).alias("day"),
        F.expr("coalesce(records_cut, 0L)").alias("records_cut"),
        F.expr("coalesce(amount_cut, cast(0 as decimal(14,2)))").alias("amount_cut"),
        "wrong",
        "delivery",
    )


def write_manifests(
    frame: DataFrame, world: World, landing: str, source: str, header: tuple[str, ...]
) -> None:
    """Writes {landing}/{source}/{day of the delivery}/manifest.csv: records and amount by file.

    The totals are those of the files as they would be without cuts; these stand with the first
    file of a delivery.

    Args:
        frame: See `truth`.
        world: The company and the deliveries asked for.
        landing: Root of the landing files, which are written already.
        source: Name of the source.
        header: Columns of its files.
    """
    spark, root = frame.sparkSession, f"{landing.rstrip('/')}/{source}"
    differing = {str(row["day"]): row for row in truth(frame, world).collect()}
    totals: dict[str, dict[str, tuple[int, Decimal]]] = {}
    for day, name, records, amount in _found(spark, world, root, header):
        totals.setdefault(day, {})[name] = (records, amount)
    for day, files in totals.items():
        first = min(files)
        if day in differing:
            wrong = differing[day]
            records, amount = files[first]
            amount += wrong["amount_cut"]
            if wrong["wrong"]:
                by = Decimal(repr(world.settings.losses.wrong_amount_by))
                amount = (amount * (1 + by)).quantize(_CENT)
            files[first] = (records + wrong["records_cut"], amount)
        lines = [f"{name},{records},{amount}" for name, (records, amount) in sorted(files.items())]
        write_bytes(spark, f"{root}/{day}/{MANIFEST}", "\n".join([HEADER, *lines, ""]).encode())


def _found(
    spark: SparkSession, world: World, root: str, header: tuple[str, ...]
) -> list[tuple[str, str, int, Decimal]]:
    """Day, file, records and amount of the files of the deliveries asked for."""
    days = {world.day_text(world.delivery(day)) for day in range(world.first, world.last + 1)}
    there = {f.path.split("/")[0] for f in list_files(spark, root)}
    paths = [f"{root}/{day}" for day in sorted(days & there)]
    if not paths:
        return []
    lines = spark.read.csv(
        paths,
        schema=", ".join(f"`{name}` string" for name in header),
        header=True,
        pathGlobFilter="part-*",
    )
    file = F.split(F.col("_metadata.file_path"), "/")
    rows = (
        lines.select(
            F.element_at(file, -2).alias("day"),
            F.element_at(file, -1).alias("name"),
            F.expr("try_cast(amount as decimal(14,2))").alias("amount"),
        )
        .groupBy("day", "name")
        .agg(
            F.count(F.lit(1)).alias("records"),
            F.expr("coalesce(cast(sum(amount) as decimal(14,2)), 0)").alias("amount"),
        )
    )
    return [(r["day"], r["name"], r["records"], r["amount"]) for r in rows.collect()]
