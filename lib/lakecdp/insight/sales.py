"""Sales, cohorts and best sellers, from orders and their lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from lakecdp.insight.figures import ZERO, Channel, Cohort, Sales, Seller, Week, share
from lakecdp.silver.money import exchanged
from lakecdp.tags.features import reporting_categories

WEEKS = 60
"""Weeks shown: a little more than a year, so that the same week of the last year is in view."""
COHORTS = 13
RECENT_DAYS = 90
TOP_SELLERS = 10


def owned_orders(
    orders: DataFrame, lines: DataFrame, links: DataFrame, run_date: date
) -> DataFrame:
    """Orders up to the run date with their customers; void ones count nowhere.

    A sale and a return may stand in one order, such as an exchange: what was sold and what was
    returned are told apart by the lines. Whatever the sign of a return, `returned` is positive.

    Returns:
        One row per order: order_id, day DATE, week DATE (its Monday), month INT (months since year
        0), channel, kind, currency, ours BOOLEAN (its amounts are known in the reporting currency),
        amount (of a sale: before its returns), returned, product_amount and margin DECIMAL(28,4),
        categories, all in the reporting currency, rate (of its day), customer_id BIGINT or null.
    """
    day, sale = F.col("order_date"), F.col("kind") == "sale"
    back = (
        lines.where("line_type = 'cancellation'")
        .groupBy("order_id")
        .agg(F.sum("amount").alias("_back"), F.sum(F.abs("amount")).alias("_size"))
    )
    rate = F.col("exchange_rate")
    back_of_sale = exchanged(F.coalesce("_back", F.lit(0)), rate)
    amount = F.col("reporting_amount") - F.when(sale, back_of_sale).otherwise(0)
    size = F.when(sale, exchanged(F.coalesce("_size", F.lit(0)), rate))
    size = size.when(F.col("kind") == "cancellation", F.abs("reporting_amount")).otherwise(0)
    return (
        orders.where((day <= F.lit(run_date)) & (F.col("kind") != "void"))
        .join(links.withColumnRenamed("node_id", "owner_node"), "owner_node", "left")
        .join(back, "order_id", "left")
        .select(
            "order_id",
            day.alias("day"),
            F.trunc(day, "week").alias("week"),
            (F.year(day) * 12 + F.month(day) - 1).alias("month"),
            "channel",
            "kind",
            "currency",
            rate.isNotNull().alias("ours"),
            amount.cast("decimal(28,4)").alias("amount"),
            size.cast("decimal(28,4)").alias("returned"),
            F.col("reporting_product_amount").alias("product_amount"),
            F.col("reporting_margin").alias("margin"),
            reporting_categories().alias("categories"),
            rate.alias("rate"),
            "customer_id",
        )
    )


def totals(orders: DataFrame, returns: DataFrame) -> Sales:
    """Sales in all, by channel and by week.

    Args:
        orders: from `owned_orders`.
        returns: silver.return.
    """
    rows = (
        orders.groupBy("week", "channel", "kind", "currency", "ours")
        .agg(
            F.count(F.lit(1)).alias("orders"),
            F.sum("amount").alias("amount"),
            F.sum("returned").alias("returned"),
            F.count_if(F.expr("kind = 'cancellation' OR returned > 0")).alias("returns"),
            F.sum("margin").alias("margin"),
            F.sum(F.when(F.col("margin").isNotNull(), F.col("product_amount"))).alias("costed"),
            F.count_if(F.col("customer_id").isNull()).alias("anonymous"),
            F.sum(F.when(F.col("customer_id").isNull(), F.col("amount"))).alias("anonymous_amount"),
            F.min("day").alias("first"),
            F.max("day").alias("last"),
        )
        .collect()
    )
    ours = [r for r in rows if r["ours"]]
    foreign: dict[str, int] = defaultdict(int)
    for r in rows:
        if not r["ours"]:
            foreign[r["currency"]] += r["orders"]
    if not ours:
        return Sales(foreign=dict(sorted(foreign.items())))
    sold = [r for r in ours if r["kind"] == "sale"]
    back = [r for r in ours if r["kind"] == "cancellation"]
    rest = [r for r in ours if r["kind"] not in ("sale", "cancellation")]
    return Sales(
        first=min(r["first"] for r in ours),
        last=max(r["last"] for r in ours),
        amount=total(sold, "amount"),
        returns=sum(r["returns"] for r in (*sold, *back)),
        returned=total((*sold, *back), "returned"),
        adjusted=total(rest, "amount"),
        traced=traced(returns, orders),
        margin=total((*sold, *back), "margin"),
        costed=total((*sold, *back), "costed"),
        channels=_channels(sold),
        weeks=_weeks(sold, back),
        foreign=dict(sorted(foreign.items())),
    )


def total(rows: Iterable[Row], name: str) -> Decimal:
    """Sum of one column of collected rows."""
    return sum((r[name] for r in rows if r[name] is not None), ZERO)


def _channels(sold: Sequence[Row]) -> tuple[Channel, ...]:
    by: dict[str, list[Row]] = defaultdict(list)
    for r in sold:
        by[r["channel"]].append(r)
    found = [
        Channel(
            name,
            sum(r["orders"] for r in rows),
            total(rows, "amount"),
            sum(r["anonymous"] for r in rows),
            total(rows, "anonymous_amount"),
        )
        for name, rows in by.items()
    ]
    return tuple(sorted(found, key=lambda c: (-c.amount, c.name)))


def _weeks(sold: Sequence[Row], back: Sequence[Row]) -> tuple[Week, ...]:
    filled = [r["week"] for r in (*sold, *back)]
    if not filled:
        return ()
    last = max(filled)
    first = max(min(filled), last - timedelta(weeks=WEEKS - 1))
    weeks = []
    for n in range((last - first).days // 7 + 1):
        monday = first + timedelta(weeks=n)
        orders: dict[str, int] = defaultdict(int)
        amount: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for r in sold:
            if r["week"] == monday:
                orders[r["channel"]] += r["orders"]
                amount[r["channel"]] += r["amount"]
        returned = total((r for r in (*sold, *back) if r["week"] == monday), "returned")
        weeks.append(Week(monday, dict(orders), dict(amount), returned))
    return tuple(weeks)


def traced(returns: DataFrame, orders: DataFrame) -> float | None:
    """Part of the value of return lines whose sale is known."""
    valued = returns.join(orders.select("order_id", "rate"), "order_id")
    amount = exchanged(F.col("amount"), F.col("rate"))
    known = F.when(F.col("sale_line_id") != "", amount).otherwise(0)
    row = valued.agg(F.sum(known).alias("known"), F.sum(amount).alias("amount")).first()
    return share(row["known"], row["amount"]) if row is not None and row["amount"] else None


def cohorts(orders: DataFrame, run_date: date) -> tuple[Cohort, ...]:
    """Customers by the month of their first order, and how many ordered again when."""
    first = F.array_min("months")
    rows = (
        orders.where("ours AND kind = 'sale' AND customer_id IS NOT NULL")
        .groupBy("customer_id")
        .agg(F.collect_set("month").alias("months"))
        .select(first.alias("first"), F.explode("months").alias("month"))
        .groupBy("first", (F.col("month") - F.col("first")).alias("since"))
        .count()
        .collect()
    )
    if not rows:
        return ()
    bought = {(r["first"], r["since"]): int(r["count"]) for r in rows}
    now = run_date.year * 12 + run_date.month - 1
    over = (run_date + timedelta(days=1)).month != run_date.month
    begin = min(m for m, _ in bought)
    shown = range(max(begin, now - COHORTS + 1), now + 1)
    return tuple(
        Cohort(
            month=date(m // 12, m % 12 + 1, 1),
            customers=bought.get((m, 0), 0),
            bought=tuple(
                bought.get((m, k), 0) if m + k <= now else None for k in range(1, len(shown))
            ),
            running=None if over else now - m,
            censored=m == begin,
        )
        for m in shown
    )


def _sold(amount: Column, recent: Column) -> list[Column]:
    return [
        F.sum(F.when(recent, F.col("units")).otherwise(0)).alias("units"),
        F.sum(F.when(recent, amount).otherwise(0)).alias("amount"),
        F.sum(F.when(~recent, amount).otherwise(0)).alias("before"),
    ]


def _sellers(sold: DataFrame, run_date: date) -> tuple[Seller, ...]:
    """The best of `id, name, at, day, units, amount` in the last 90 days."""
    recent = F.col("day") > F.lit(run_date - timedelta(days=RECENT_DAYS))
    name = F.expr("max_by(name, at) FILTER (WHERE name IS NOT NULL)").alias("name")
    rows = (
        sold.where(F.col("day") > F.lit(run_date - timedelta(days=2 * RECENT_DAYS)))
        .rollup("id")
        .agg(name, *_sold(F.col("amount"), recent), F.grouping("id").alias("total"))
        .orderBy(F.desc("total"), F.desc("amount"), "id")
        .limit(TOP_SELLERS + 1)
        .collect()
    )
    if not rows or not rows[0]["amount"]:
        return ()
    whole = rows[0]["amount"]
    return tuple(
        Seller(
            r["id"],
            r["name"] or r["id"],
            r["units"],
            r["amount"],
            r["before"],
            share(r["amount"], whole),
        )
        for r in rows[1:]
        if r["amount"] > 0
    )


def top_products(orders: DataFrame, lines: DataFrame, run_date: date) -> tuple[Seller, ...]:
    """Products that sold for most in the last 90 days."""
    wanted = orders.where(
        (F.col("kind") == "sale")
        & F.col("ours")
        & (F.col("day") > F.lit(run_date - timedelta(days=2 * RECENT_DAYS)))
    ).select("order_id", "day", "rate")
    sold = lines.where(
        "line_type = 'sale' AND item_type = 'product' AND product_id IS NOT NULL"
    ).select(
        "order_id",
        F.col("line_id"),
        F.col("product_id").alias("id"),
        F.col("product_name").alias("name"),
        F.col("quantity").alias("units"),
        "amount",
    )
    dated = sold.join(wanted, "order_id").withColumns(
        {
            "at": F.struct("day", "order_id", "line_id"),
            "amount": exchanged(F.col("amount"), F.col("rate")),
        }
    )
    return _sellers(dated, run_date)


def top_categories(orders: DataFrame, run_date: date) -> tuple[Seller, ...]:
    """Categories that sold for most in the last 90 days."""
    sold = (
        orders.where("kind = 'sale' AND ours")
        .select("day", "order_id", F.inline("categories").alias("id", "units", "amount"))
        .where("id IS NOT NULL")
        .select("*", F.col("id").alias("name"), F.struct("day", "order_id").alias("at"))
    )
    return _sellers(sold, run_date)
