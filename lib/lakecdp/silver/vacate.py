"""Where restated records used to count: what is noted for the jobs that have counted them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.platform.batch import Batch
from lakecdp.silver.canonical import TIMES

VACATED, PRODUCT, ATTRIBUTE = "silver.vacated", "silver.product", "silver.attribute"
COUNTED = ("silver.event", "silver.order_header", "silver.order_line")
"""Tables whose updated records may have counted elsewhere."""
VALUED = {"silver.exchange_rate": "rate_date", "silver.product_cost": "cost_from"}
"""Tables by which orders are valued, from a day on."""


def vacate(batch: Batch, name: str, before: DataFrame) -> None:
    """Note where rows counted before they were updated or deleted; what is theirs is computed again.

    Args:
        batch: the batch.
        name: their table.
        before: the rows as they were.
    """
    day = VALUED.get(name) or TIMES[name.removeprefix("silver.")][1]
    given = {
        "owner_node": "owner_node" if "owner_node" in before.columns else None,
        "day": day,
        "order_id": "order_id" if name.startswith("silver.order") else None,
        "product_id": "product_id" if name in VALUED and "product_id" in before.columns else None,
    }
    left = before.select(
        F.lit(name).alias("target"),
        *((F.col(c) if c else F.lit(None)).alias(n) for n, c in given.items()),
    ).distinct()
    batch.append(VACATED, left)


def revalued(batch: Batch, products: DataFrame) -> None:
    """Note products with another category or cost than before, so that their orders are summed anew.

    Args:
        batch: the batch.
        products: the products as they are now, those deleted with neither.
    """
    worth = ("category", "cost", "_priced_in")
    priced_in = F.when(F.col("cost").isNotNull(), F.col("currency")).alias("_priced_in")
    now, was = (
        f.select("product_id", "category", "cost", priced_in)
        for f in (products, batch.read(PRODUCT))
    )
    both = now.join(was.withColumnsRenamed({c: f"_was_{c}" for c in worth}), "product_id", "left")
    same = " AND ".join(f"{c} <=> _was_{c}" for c in worth)
    nothing = {n: F.lit(None) for n in ("owner_node", "day", "order_id")}
    noted = both.where(f"NOT ({same})").select(F.lit(PRODUCT).alias("target"), "product_id")
    noted = batch.hold(noted.withColumns(nothing))
    if not noted.isEmpty():
        batch.append(VACATED, noted)


def gone_for_good(batch: Batch, name: str, gone: DataFrame) -> None:
    """Note rows that are deleted because their source gives them no more."""
    if name == ATTRIBUTE or name in VALUED or TIMES[name.removeprefix("silver.")][1]:
        vacate(batch, name, gone)
