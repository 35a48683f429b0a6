"""What a customer looked like on a day, from that day and those before it only.

Source: gold.node_day, joined with the links of identity.link in force now. Three things follow.
An identifier that became known as the customer's after the cut-off counts from its first record
on, so a later merge reaches back. gold.node_day has one clock, the day on which things happened:
a record that arrived late counts as if it had been there. And the days are UTC days. An outcome
never reaches a feature: rows after the cut-off are left out before anything is summed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

VERSION = "1"
"""Fingerprint of the definitions below: a model works with the version that it has learned from."""

USUAL_GAP_DAYS = 60
"""Gap that is assumed once for everybody, so that customers with one order have a cycle too."""

PREFIX = "x_"
"""Features begin with it, so that none hides the sum that it is made from."""


@dataclass(frozen=True)
class Group:
    """Features that say one thing together; a reason for a score is one group.

    Attributes:
        features: name -> Spark SQL expression over the columns of `profiles`; never null.
        words: Spark SQL expression that says in words what the customer has done.
    """

    features: Mapping[str, str]
    words: str

    @property
    def names(self) -> list[str]:
        """The columns of its features."""
        return [f"{PREFIX}{name}" for name in self.features]


def _log(expression: str) -> str:
    """The logarithm of counts and money, whose tails are long."""
    return f"ln(1 + greatest(0, {expression}))"


def _trend(now: str, before: str) -> str:
    return f"ln((1 + {now}) / (1 + {before}))"


def _count(number: str, one: str, many: str) -> str:
    return f"concat({number}, IF({number} = 1, ' {one}', ' {many}'))"


_RETURNED = "least(1, coalesce(double(returned_amount) / nullif(double(amount), 0), 0))"

GROUPS: Mapping[str, Group] = {
    "recency": Group(
        {
            "recency": _log("days_since_order"),
            "overdue": "least(10, days_since_order / gap_days)",
            "gap": _log("gap_days"),
            "last_gap": "ln((1 + coalesce(last_gap_days, gap_days)) / (1 + gap_days))",
        },
        f"concat('last order ', {_count('days_since_order', 'day', 'days')}, ' ago, ', "
        "IF(order_days = 1, 'the only day with one', "
        "concat('usually every ', CAST(round(cycle_days) AS INT), ' days')))",
    ),
    "frequency": Group(
        {
            "orders": _log("order_days"),
            "orders_30d": _log("order_days_30d"),
            "orders_90d": _log("order_days_90d"),
            "orders_180d": _log("order_days_180d"),
            "order_trend": _trend("order_days_90d", "(order_days_180d - order_days_90d)"),
        },
        f"concat({_count('order_days_90d', 'day', 'days')}, ' with an order in the last 90, ', "
        "order_days_180d - order_days_90d, ' in the 90 before')",
    ),
    "money": Group(
        {"amount_180d": _log("amount_180d"), "basket": _log("double(amount) / order_days")},
        "concat('bought for ', format_number(amount_180d, 0), ' in the last 180 days')",
    ),
    "tenure": Group(
        {"tenure": _log("tenure_days")},
        f"concat('customer for ', {_count('tenure_days', 'day', 'days')})",
    ),
    "visits": Group(
        {
            "idle": _log("days_since_active"),
            "active_30d": _log("active_days_30d"),
            "active_90d": _log("active_days_90d"),
            "active_trend": _trend("active_days_30d", "(active_days_60d - active_days_30d)"),
        },
        "concat('active on ', active_days_30d, ' of the last 30 days, ', "
        "active_days_60d - active_days_30d, ' of the 30 before')",
    ),
    "interest": Group(
        {
            "views_30d": _log("views_30d"),
            "views_90d": _log("views_90d"),
            "searches_30d": _log("searches_30d"),
            "carts_30d": _log("carts_30d"),
        },
        f"concat({_count('views_30d', 'view', 'views')}, ', ', "
        f"{_count('carts_30d', 'addition to the cart', 'additions to the cart')}, "
        "' in the last 30 days')",
    ),
    "returns": Group(
        {"returned_share": _RETURNED},
        f"concat('returned ', CAST(round(100 * {_RETURNED}) AS INT), ' % of the amount bought')",
    ),
}

FEATURES: Mapping[str, str] = {
    f"{PREFIX}{name}": text for g in GROUPS.values() for name, text in g.features.items()
}

_SUMMED = ("orders", "amount", "returned_amount", "views", "searches", "carts")
_WINDOWED = {
    "active_days": ("1", (30, 60, 90)),
    "order_days": ("CAST(orders > 0 AS INT)", (30, 90, 180)),
    "amount": ("amount", (180,)),
    "views": ("views", (30, 90)),
    "searches": ("searches", (30,)),
    "carts": ("carts", (30,)),
}
"""What is summed over the days up to and including the cut-off, and over how many of them."""


def customer_days(node_days: DataFrame, links: DataFrame) -> DataFrame:
    """What customers did by day, over all their identifiers.

    Args:
        node_days: gold.node_day.
        links: identity.link; only open links count.

    Returns:
        One row per customer_id BIGINT and day DATE with activity, with the sums of orders, amount,
        returned_amount (currency of the lake), views, searches and carts; partitioned by customer.
    """
    owner = links.where("valid_to IS NULL").select("node_id", "customer_id")
    return (
        node_days.select("node_id", "day", *_SUMMED)
        .join(owner, "node_id")
        .repartition("customer_id")
        .groupBy("customer_id", "day")
        .agg(*(F.sum(c).alias(c) for c in _SUMMED))
    )


def profiles(days: DataFrame, cutoffs: Sequence[date], eligible_days: int) -> DataFrame:
    """Eligible customers as they were at each cut-off.

    Args:
        days: see `customer_days`.
        cutoffs: last days that count.
        eligible_days: an order in so many days up to the cut-off makes a customer eligible.

    Returns:
        One row per customer_id BIGINT and cutoff DATE: days, counts and amounts (currency of the
        lake), and the features made from them, DOUBLE, with the prefix `x_`.
    """
    dates = F.array(*(F.lit(c) for c in cutoffs))
    seen = days.withColumn("cutoff", F.explode(F.filter(dates, lambda c: c >= F.col("day"))))
    ago = "datediff(cutoff, day)"
    recent = [
        F.expr(f"sum(CASE WHEN {ago} < {w} THEN {what} ELSE 0 END)").alias(f"{name}_{w}d")
        for name, (what, windows) in _WINDOWED.items()
        for w in windows
    ]
    sums = seen.groupBy("customer_id", "cutoff").agg(
        *recent,
        F.sum("amount").alias("amount"),
        F.sum("returned_amount").alias("returned_amount"),
        F.expr("min(day)").alias("first_on"),
        F.expr("max(day)").alias("active_on"),
        F.expr("sort_array(collect_list(day) FILTER (WHERE orders > 0), false)").alias("ordered"),
    )
    first, last = "ordered[size(ordered) - 1]", "ordered[0]"
    return (
        sums.where(f"size(ordered) > 0 AND datediff(cutoff, {last}) < {eligible_days}")
        .withColumns(
            {
                "order_days": F.expr("size(ordered)"),
                "days_since_order": F.expr(f"datediff(cutoff, {last})"),
                "days_since_active": F.expr("datediff(cutoff, active_on)"),
                "tenure_days": F.expr("datediff(cutoff, first_on)"),
                "last_gap_days": F.expr(f"datediff({last}, get(ordered, 1))"),
                "cycle_days": F.expr(f"datediff({last}, {first}) / nullif(size(ordered) - 1, 0)"),
                "gap_days": F.expr(
                    f"(datediff({last}, {first}) + {USUAL_GAP_DAYS}) / size(ordered)"
                ),
            }
        )
        .drop("ordered", "first_on", "active_on")
        .withColumns({n: _number(e) for n, e in FEATURES.items()})
    )


def _number(expression: str) -> Column:
    return F.expr(f"CAST({expression} AS DOUBLE)")


def outcomes(days: DataFrame, cutoffs: Sequence[date], horizon: int) -> DataFrame:
    """Who ordered within the horizon after each cut-off.

    Args:
        days: see `customer_days`.
        cutoffs: last days that features count.
        horizon: days after the cut-off in which an order counts.

    Returns:
        One row per customer_id BIGINT and cutoff DATE with an order of kind sale in
        (cutoff, cutoff + horizon]; everybody else has churned.
    """
    dates = F.array(*(F.lit(c) for c in cutoffs))
    after = F.filter(dates, lambda c: (c < F.col("day")) & (F.date_add(c, horizon) >= F.col("day")))
    bought = days.where("orders > 0").select("customer_id", F.explode(after).alias("cutoff"))
    return bought.distinct()


def examples(
    days: DataFrame, cutoffs: Sequence[date], *, eligible_days: int, horizon: int
) -> DataFrame:
    """Profiles with what came after: `label` DOUBLE is 1 for churned, 0 for an order in time."""
    returned = outcomes(days, cutoffs, horizon).withColumn("_returned", F.expr("true"))
    return (
        profiles(days, cutoffs, eligible_days)
        .join(returned, ["customer_id", "cutoff"], "left")
        .withColumn("label", F.expr("CAST(_returned IS NULL AS DOUBLE)"))
        .drop("_returned")
    )
