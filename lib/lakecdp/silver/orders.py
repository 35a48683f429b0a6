"""Orders with the totals of their lines and payments."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp.contracts.table import IDENTIFIERS_TYPE

MONEY = "decimal(28,4)"
UNITS = "decimal(28,3)"


def touched_orders(
    fresh: Sequence[DataFrame], vacated: DataFrame, revalued: Sequence[DataFrame]
) -> DataFrame:
    """Orders whose totals may have changed.

    Args:
        fresh: new rows of silver.order_header, silver.order_line and silver.payment.
        vacated: new rows of silver.vacated.
        revalued: orders, or lines of them, whose category, cost or exchange rate has changed.

    Returns:
        One row per order: order_id STRING.
    """
    ids = [f.select("order_id") for f in (*fresh, *revalued)]
    moved = vacated.where("target IN ('silver.order_header', 'silver.order_line')").select(
        "order_id"
    )
    every = ids[0]
    for more in (*ids[1:], moved):
        every = every.unionByName(more)
    return every.where("order_id IS NOT NULL").distinct()


def with_catalogue(lines: DataFrame, products: DataFrame) -> DataFrame:
    """Give lines without a category that of the catalogue, and what a unit costs; one row per line.

    Returns:
        The lines with `_unit` STRUCT<cost DECIMAL(18,4), currency STRING>, null where the catalogue
        states no cost.
    """
    unit = F.when(F.col("cost").isNotNull(), F.struct("cost", "currency")).alias("_unit")
    known = products.select("product_id", F.col("category").alias("_catalogue"), unit)
    return (
        lines.join(known, "product_id", "left")
        .withColumn("category", F.coalesce("category", "_catalogue"))
        .drop("_catalogue")
    )


def line_totals(lines: DataFrame) -> DataFrame:
    """Lines summed up by order.

    Args:
        lines: rows of silver.order_line with their category resolved and `_cost`.

    Returns:
        One row per order: line_count, units, amount, product_amount, categories, `_identifiers`
        (all identifiers of its lines), `_sales` and `_returns` (numbers of such lines), `_cost` (of its
        products; null unless that of each is known).
    """
    product = F.col("item_type") == "product"
    unknown = F.count_if(product & F.col("_cost").isNull())
    by_category = (
        lines.where(product & F.col("category").isNotNull())
        .groupBy("order_id", "category")
        .agg(_sum("quantity", UNITS).alias("units"), _sum("amount", MONEY).alias("amount"))
        .groupBy("order_id")
        .agg(
            F.array_sort(F.collect_list(F.struct("category", "units", "amount"))).alias(
                "categories"
            )
        )
    )
    totals = lines.groupBy("order_id").agg(
        F.count(F.lit(1)).alias("line_count"),
        _sum(F.when(product, F.col("quantity")), UNITS).alias("units"),
        _sum("amount", MONEY).alias("amount"),
        _sum(F.when(product, F.col("amount")), MONEY).alias("product_amount"),
        F.array_distinct(F.flatten(F.array_sort(F.collect_set("identifiers")))).alias(
            "_identifiers"
        ),
        F.when(unknown == 0, _sum(F.when(product, F.col("_cost")), MONEY)).alias("_cost"),
        F.count_if(F.col("line_type") == "sale").alias("_sales"),
        F.count_if(F.col("line_type") == "cancellation").alias("_returns"),
    )
    return totals.join(by_category, "order_id", "left")


def _sum(value: Column | str, kind: str) -> Column:
    return F.coalesce(F.sum(value), F.lit(0)).cast(kind)


def _kind() -> Column:
    """Sale or cancellation by the lines, where these tell both apart.

    A till states the kind with each line, so an exchange has headers of both kinds, of which the
    last one stands. An order with a sale in it is a sale; one that only takes back is none.
    """
    either = F.col("kind").isin("sale", "cancellation") & (F.coalesce("_returns", F.lit(0)) > 0)
    by_lines = F.when(F.col("_sales") > 0, "sale").otherwise("cancellation")
    return F.when(either, by_lines).otherwise(F.col("kind"))


def assembled(
    headers: DataFrame, lines: DataFrame, payments: DataFrame, strength: list[str]
) -> DataFrame:
    """Put orders together.

    Args:
        headers: rows of silver.order_header.
        lines: all lines of these orders, categories resolved, with `_cost`.
        payments: all payments of these orders.
        strength: identifier types, strongest first; the strongest one owns the order.

    Returns:
        One row per order that has a header, columns of silver.order but those of the reporting
        currency, and `_cost`.
    """
    paid = payments.groupBy("order_id").agg(F.sum("amount").cast(MONEY).alias("paid_amount"))
    joined = headers.join(line_totals(lines), "order_id", "left").join(paid, "order_id", "left")
    both = F.array_distinct(
        F.concat("identifiers", F.coalesce("_identifiers", F.array().cast(IDENTIFIERS_TYPE)))
    )
    order = F.array(*[F.lit(t) for t in strength])
    ranked = F.array_sort(
        F.transform(
            both,
            lambda i: F.struct(
                F.array_position(order, i["type"]).alias("rank"),
                i["node_id"].alias("node_id"),
                i["type"].alias("type"),
            ),
        )
    )
    ids = F.transform(
        ranked, lambda r: F.struct(r["type"].alias("type"), r["node_id"].alias("node_id"))
    )
    zero = {"line_count": "int", "units": UNITS, "amount": MONEY, "product_amount": MONEY}
    cost = F.when(F.col("line_count").isNull(), F.lit(0)).otherwise(F.col("_cost"))
    empty = F.array().cast(f"ARRAY<STRUCT<category: STRING, units: {UNITS}, amount: {MONEY}>>")
    return joined.withColumns(
        {
            "identifiers": ids,
            "kind": _kind(),
            "_cost": cost.cast(MONEY),
            **{n: F.coalesce(n, F.lit(0)).cast(t) for n, t in zero.items()},
            "categories": F.coalesce("categories", empty),
        }
    ).withColumn("owner_node", F.get("identifiers", F.lit(0))["node_id"])
