"""Restate the orders that new records touch, and the returns with them."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.platform.batch import Batch
from lakecdp.platform.settings import Settings
from lakecdp.silver.money import Money, costed, rates_of, reported, wanted
from lakecdp.silver.orders import assembled, touched_orders, with_catalogue
from lakecdp.silver.restate import days_of, on_days
from lakecdp.silver.returns import matched, movements

HEADER, LINE, PAYMENT, PRODUCT = (
    "silver.order_header",
    "silver.order_line",
    "silver.payment",
    "silver.product",
)
RATE, COST = "silver.exchange_rate", "silver.product_cost"
VACATED, ORDER, RETURN = "silver.vacated", "silver.order", "silver.return"
LEFT = "silver.vacated_order"
INPUTS = (HEADER, LINE, PAYMENT, PRODUCT, RATE, COST, VACATED)
OUTPUTS = (ORDER, RETURN, LEFT)
VERSION = "3"


def fingerprint(strength: list[str], settings: Settings) -> str:
    """Changes whenever the same records may be put together otherwise."""
    money = f"{settings.currency}:{settings.exchange_rate_days}"
    return f"{VERSION}:{','.join(strength)}:{money}"


def assemble(batch: Batch, strength: list[str], settings: Settings) -> None:
    """Recompute touched orders and returns, and write those that differ.

    Args:
        batch: the batch; inputs and outputs as named in this module.
        strength: identifier types, strongest first.
        settings: the reporting currency, and how long rates hold.
    """
    money = _money(batch, settings)
    lines = with_catalogue(batch.read(LINE), batch.read(PRODUCT))
    touched = _touched(batch, lines, money).persist()
    headers = _of(batch.read(HEADER), touched)
    rates = batch.keep(rates_of(wanted(headers, money), money)) if money.rates else None
    days = headers.select("order_id", F.col("order_date").alias("day"))
    priced = costed(_of(lines, touched), days, rates, money)
    payments = _of(batch.read(PAYMENT), touched)
    orders = reported(assembled(headers, priced, payments, strength), rates, money).persist()
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


def _money(batch: Batch, settings: Settings) -> Money:
    """What amounts are converted and costed by; tables that hold nothing are left aside."""
    rates, costs = (batch.read(n) if batch.published(n) else None for n in (RATE, COST))
    foreign: list[str] = []
    if rates is not None:
        named = [
            f.select("currency")
            for f in (batch.read(PRODUCT).where("cost IS NOT NULL"), costs)
            if f
        ]
        every = named[0].union(named[-1]).where(F.col("currency") != settings.currency).distinct()
        foreign = sorted(r["currency"] for r in every.collect())
    return Money(settings.currency, settings.exchange_rate_days, rates, costs, foreign)


def _touched(batch: Batch, lines: DataFrame, money: Money) -> DataFrame:
    vacated = batch.new_rows(VACATED)
    new = [batch.new_rows(t) for t in (HEADER, LINE, PAYMENT)]
    if batch.full:
        return touched_orders(new, vacated, [])
    return touched_orders(new, vacated, [*_repriced(batch, lines), *_exchanged(batch, money)])


def _repriced(batch: Batch, lines: DataFrame) -> list[DataFrame]:
    """Lines of products whose category or cost has changed."""
    vacated = batch.new_rows(VACATED).where("product_id IS NOT NULL")
    since = batch.new_rows(COST).select("product_id", F.col("cost_from").alias("day"))
    changed = vacated.select("product_id", "day").unionByName(since).groupBy("product_id")
    # A category, or a cost of the catalogue, is of no day: it counts from the first one on.
    first = F.when(F.count_if(F.col("day").isNull()) == 0, F.min("day")).alias("first")
    concerned = batch.keep(changed.agg(first))
    if concerned.isEmpty():
        return []
    later = F.coalesce(F.col("order_date") >= F.col("first"), F.lit(True))
    return [lines.join(concerned, "product_id").where(later)]


def _exchanged(batch: Batch, money: Money) -> list[DataFrame]:
    """Orders with an amount or a cost that a new or deleted rate concerns."""
    gone = batch.new_rows(VACATED).where(F.col("target") == RATE).select("day")
    found = days_of(batch.new_rows(RATE).select("rate_date"), gone)
    if found == frozenset():
        return []
    held = found and frozenset(d + timedelta(n) for d in found for n in range(money.days))
    foreign = F.lit(bool(money.foreign_costs)) | (F.col("currency") != money.currency)
    return [on_days(batch.read(HEADER), held, "order_date").where(foreign)]


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
