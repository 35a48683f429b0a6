"""Restate the orders that new records touch, and the returns with them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.platform.batch import Batch
from lakecdp.silver.orders import assembled, touched_orders, with_category
from lakecdp.silver.returns import matched, movements

HEADER, LINE, PAYMENT, PRODUCT = (
    "silver.order_header",
    "silver.order_line",
    "silver.payment",
    "silver.product",
)
VACATED, ORDER, RETURN = "silver.vacated", "silver.order", "silver.return"
LEFT = "silver.vacated_order"
INPUTS = (HEADER, LINE, PAYMENT, PRODUCT, VACATED)
OUTPUTS = (ORDER, RETURN, LEFT)
VERSION = "2"


def fingerprint(strength: list[str]) -> str:
    """Changes whenever the same records may be put together otherwise."""
    return f"{VERSION}:{','.join(strength)}"


def assemble(batch: Batch, strength: list[str]) -> None:
    """Recompute touched orders and returns, and write those that differ.

    Args:
        batch: the batch; inputs and outputs as named in this module.
        strength: identifier types, strongest first.
    """
    lines = with_category(batch.read(LINE), batch.read(PRODUCT))
    touched = _touched(batch, lines).persist()
    headers = _of(batch.read(HEADER), touched)
    orders = assembled(
        headers, _of(lines, touched), _of(batch.read(PAYMENT), touched), strength
    ).persist()
    before = _of(batch.read(ORDER), touched)
    counts = batch.upsert(ORDER, orders, update_when=differs(ORDER))
    gone = before.join(orders.select("order_id"), "order_id", "left_anti").select("order_id")
    deleted = 0
    if batch.since.mark:
        deleted = batch.delete_keys(ORDER, gone, ["order_id"])
    if counts.updated or deleted:
        batch.append(
            LEFT, before.select("order_id", "owner_node", F.col("order_date").alias("day"))
        )
    _returns(batch)
    total = counts.written + deleted
    batch.count(rows_in=total, rows_out=total, rows_duplicate=0, rows_quarantined=0)
    orders.unpersist()
    touched.unpersist()


def differs(name: str) -> str:
    """Merge condition: some business column has changed."""
    from lakecdp import contracts

    return " OR ".join(f"NOT (t.`{c}` <=> s.`{c}`)" for c in contracts.table(name).compared)


def _touched(batch: Batch, lines: DataFrame) -> DataFrame:
    recategorised = lines.limit(0)
    if not batch.full:
        changed = batch.new_rows(VACATED).select("product_id").where("product_id IS NOT NULL")
        recategorised = lines.join(changed, "product_id", "left_semi")
    return touched_orders(
        batch.new_rows(HEADER),
        batch.new_rows(LINE),
        batch.new_rows(PAYMENT),
        batch.new_rows(VACATED),
        recategorised,
    )


def _of(rows: DataFrame, orders: DataFrame) -> DataFrame:
    return rows.join(orders, "order_id", "left_semi")


def _returns(batch: Batch) -> None:
    """Returns are allocated anew for every owner and product with a new line."""
    every = movements(batch.read(LINE), batch.read(HEADER))
    if batch.full:
        if batch.since.mark:
            batch.replace(RETURN, matched(every))
        else:
            batch.append(RETURN, matched(every))
        return
    fresh = (
        batch.new_rows(LINE)
        .select("order_id")
        .unionByName(batch.new_rows(HEADER).select("order_id"))
    )
    pairs = every.join(fresh.distinct(), "order_id", "left_semi").select("owner_node", "product_id")
    moved = batch.new_rows(VACATED).select("order_id").where("order_id IS NOT NULL")
    old = batch.read(RETURN)
    # What a sale gave back is sought anew when the sale is void now, or another's.
    sold = moved.withColumnRenamed("order_id", "sale_order_id")
    stale = old.join(moved, "order_id", "left_semi").unionByName(
        old.join(sold, "sale_order_id", "left_semi"), allowMissingColumns=True
    )
    stale = stale.select("owner_node", "product_id")
    concerned = pairs.unionByName(stale).distinct()
    rows = matched(every.join(concerned, ["owner_node", "product_id"], "left_semi")).persist()
    keys = ["order_id", "line_id", "sale_order_id", "sale_line_id"]
    before = old.join(concerned, ["owner_node", "product_id"], "left_semi")
    batch.upsert(RETURN, rows, update_when=differs(RETURN))
    batch.delete_keys(RETURN, before.join(rows.select(*keys), keys, "left_anti"), keys)
    rows.unpersist()
