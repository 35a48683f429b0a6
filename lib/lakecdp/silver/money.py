"""Amounts in the reporting currency by the rate of their day, and what products cost on a day.

Rates are quotes against a base currency, such as the euro reference rates of the European Central
Bank; a rate between two other currencies is the quotient of their quotes against the same base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

RATE = "decimal(22,16)"
FACTOR = "decimal(24,4)"
"""Type of an amount that is multiplied by a rate: the product keeps eleven decimals."""
MONEY = "decimal(28,4)"


@dataclass(frozen=True)
class Money:
    """What amounts are converted and costed by.

    Attributes:
        currency: the reporting currency, that of the lake.
        days: how many days a rate holds, its own day included.
        rates: silver.exchange_rate; None while it is empty.
        costs: silver.product_cost; None while it is empty.
        foreign_costs: other currencies in which products cost.
    """

    currency: str
    days: int
    rates: DataFrame | None = None
    costs: DataFrame | None = None
    foreign_costs: Sequence[str] = ()

    @property
    def dated(self) -> bool:
        """Whether what a unit costs depends on the day of the order."""
        return self.costs is not None or (self.rates is not None and bool(self.foreign_costs))


def wanted(headers: DataFrame, money: Money) -> DataFrame:
    """Currencies to be converted: those of orders and of costs, on the days of orders.

    Returns:
        One row per currency STRING and day DATE.
    """
    own = headers.select("currency", F.col("order_date").alias("day"))
    if money.foreign_costs:
        each = F.explode(F.array(*map(F.lit, money.foreign_costs))).alias("currency")
        own = own.unionByName(own.select(each, "day"))
    return own.where(F.col("currency") != money.currency).distinct()


def rates_of(pairs: DataFrame, money: Money) -> DataFrame:
    """What a unit of a currency is worth in the reporting currency.

    Both quotes are the last ones within the days that a rate holds. Of several bases that one counts
    whose older quote is the latest.

    Args:
        pairs: see `wanted`.
        money: with rates.

    Returns:
        One row per currency and day with a rate: currency STRING, day DATE, rate DECIMAL(22,16).
    """
    assert money.rates is not None
    given = money.rates.select("base_currency", "currency", "rate_date", "rate")
    itself = given.select(
        "base_currency",
        F.col("base_currency").alias("currency"),
        "rate_date",
        F.lit(1).cast("decimal(20,10)").alias("rate"),
    )
    quotes = given.unionByName(itself.distinct())
    held = F.explode(F.sequence(F.date_sub("day", money.days - 1), F.col("day"))).alias("rate_date")

    def last(asked: DataFrame, key: list[str], name: str) -> DataFrame:
        found = asked.select(*key, held).join(quotes, ["currency", "rate_date"])
        return found.groupBy(*key, "base_currency").agg(
            F.max_by("rate", "rate_date").alias(name), F.max("rate_date").alias(f"{name}_on")
        )

    theirs = last(pairs, ["currency", "day"], "theirs")
    days = pairs.select(F.lit(money.currency).alias("currency"), "day").distinct()
    ours = last(days, ["currency", "day"], "ours").drop("currency")
    both = theirs.join(ours, ["day", "base_currency"]).select(
        "currency",
        "day",
        F.struct(F.least("theirs_on", "ours_on").alias("on"), "base_currency").alias("rank"),
        (F.col("ours") / F.col("theirs")).cast(RATE).alias("rate"),
    )
    return both.groupBy("currency", "day").agg(F.max_by("rate", "rank").alias("rate"))


def dated_costs(costs: DataFrame) -> DataFrame:
    """Costs with their last day; one row per product and first day of a cost.

    Returns:
        product_id, cost_from DATE, cost_to DATE (the first day of the next one; null: still holds),
        dated STRUCT<cost DECIMAL(18,4), currency STRING>.
    """
    order = Window.partitionBy("product_id").orderBy("cost_from")
    return costs.select(
        "product_id",
        "cost_from",
        F.lead("cost_from").over(order).alias("cost_to"),
        F.struct("cost", "currency").alias("dated"),
    )


def costed(lines: DataFrame, days: DataFrame, rates: DataFrame | None, money: Money) -> DataFrame:
    """Give lines what they cost.

    Args:
        lines: rows of silver.order_line with `_unit` STRUCT<cost, currency> of the catalogue.
        days: the day of each order: order_id, day.
        rates: see `rates_of`; None: amounts in other currencies cannot be converted.
        money: see `Money`.

    Returns:
        The lines with `_cost` DECIMAL(28,4), quantity times the unit cost of the order's day, in the
        reporting currency; null where it is not known.
    """
    unit = F.col("_unit")
    if money.dated:
        lines = lines.join(days, "order_id", "left")
    if money.costs is not None:
        spans = dated_costs(money.costs).withColumnRenamed("product_id", "_product")
        holds = (
            (F.col("product_id") == F.col("_product"))
            & (F.col("day") >= F.col("cost_from"))
            & (F.col("cost_to").isNull() | (F.col("day") < F.col("cost_to")))
        )
        lines = lines.join(spans, holds, "left")
        unit = F.coalesce("dated", "_unit")
    lines = lines.withColumn("_unit", unit)
    rate = F.when(F.col("_unit.currency") == money.currency, F.lit(1).cast(RATE))
    if rates is not None and money.foreign_costs:
        other = rates.select(
            F.col("currency").alias("_currency"), F.col("day").alias("_day"), "rate"
        )
        same = (F.col("_unit.currency") == F.col("_currency")) & (F.col("day") == F.col("_day"))
        lines = lines.join(F.broadcast(other), same, "left")
        rate = F.coalesce(rate, "rate")
    spent = (F.col("quantity") * F.col("_unit.cost")).cast(FACTOR)
    return lines.withColumn("_cost", exchanged(spent, rate)).drop(
        "day", "_product", "cost_from", "cost_to", "dated", "_currency", "_day", "rate", "_unit"
    )


def exchanged(amount: Column, rate: Column) -> Column:
    """An amount in the reporting currency, rounded half up to four decimals."""
    return F.round(amount.cast(FACTOR) * rate, 4).cast(MONEY)


def reported(orders: DataFrame, rates: DataFrame | None, money: Money) -> DataFrame:
    """Give orders their amounts in the reporting currency.

    Args:
        orders: rows with currency, order_date, kind, amount, product_amount and `_cost`.
        rates: see `costed`.
        money: see `Money`.

    Returns:
        The orders with exchange_rate, reporting_amount, reporting_product_amount, and, for sales and
        cancellations all of whose costs are known, reporting_cost and reporting_margin.
    """
    rate = F.when(F.col("currency") == money.currency, F.lit(1).cast(RATE))
    if rates is not None:
        orders = orders.join(
            F.broadcast(rates.withColumnRenamed("day", "order_date")),
            ["currency", "order_date"],
            "left",
        )
        rate = F.coalesce(rate, "rate")
    traded = F.col("kind").isin("sale", "cancellation")
    return (
        orders.withColumn("exchange_rate", rate)
        .withColumns(
            {
                "reporting_amount": exchanged(F.col("amount"), F.col("exchange_rate")),
                "reporting_product_amount": exchanged(
                    F.col("product_amount"), F.col("exchange_rate")
                ),
                "reporting_cost": F.when(traded, F.col("_cost")),
            }
        )
        .withColumn(
            "reporting_margin",
            (F.col("reporting_product_amount") - F.col("reporting_cost")).cast(MONEY),
        )
        .drop("rate")
    )
