"""Customers by segment, churn score and tag, and how many of them are active."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakecdp.insight.figures import (
    Activity,
    Churn,
    Group,
    Grouping,
    Named,
    Risk,
    TagFigure,
    Tags,
    share,
)
from lakecdp.insight.sales import total
from lakecdp.tags import catalogue as tag_rules

TOP_VALUES = 3
SMALLEST_GROUP = 5
"""A tag value of fewer customers is not shown: so few could be told apart."""
AT_RISK = 0.5
"""From this score on a customer is more likely to leave than to stay."""
BINS = 10
NO_TIER = Named("", "")
LEVELS = ("base", "behaviour", "preference", "value", "attitude")


def activity(links: DataFrame, counts: DataFrame, node_days: DataFrame, run_date: date) -> Activity:
    """Customers with any activity in the last 30 days, and in the 30 days before.

    Args:
        links: links in force.
        counts: those of them over which facts count.
        node_days: gold.node_day.
        run_date: the last day that counts.
    """
    now = F.col("day") > F.lit(run_date - timedelta(days=30))
    recent = (
        node_days.where(
            (F.col("day") > F.lit(run_date - timedelta(days=60)))
            & (F.col("day") <= F.lit(run_date))
        )
        .groupBy("node_id")
        .agg(F.max(now).alias("now"), F.max(~now).alias("before"))
    )
    active = counts.join(recent, "node_id").select("node_id", "now", "before")
    row = (
        links.join(active, "node_id", "left")
        .groupBy("customer_id")
        .agg(F.max("now").alias("now"), F.max("before").alias("before"))
        .agg(
            F.count(F.lit(1)).alias("customers"),
            F.count_if("now").alias("now"),
            F.count_if("before").alias("before"),
        )
        .first()
    )
    return Activity(row["customers"], row["now"], row["before"]) if row is not None else Activity()


def crossed(features: DataFrame, segments: DataFrame, scores: DataFrame) -> list[Row]:
    """Customers summed over everything that the page crosses.

    Returns:
        One row per rfm, lifecycle, bin (tenth of the churn score or null) and at_risk: customers,
        buyers, repeaters, amount and amount_365d, and of the scores total, version (latest), as_of.
    """
    place = segments.where("valid_to IS NULL AND segmentation IN ('rfm', 'lifecycle')")
    place = place.groupBy("customer_id").agg(
        *(
            F.max(F.when(F.col("segmentation") == s, F.col("segment"))).alias(s)
            for s in ("rfm", "lifecycle")
        )
    )
    scored = scores.where("model = 'churn'").select(
        "customer_id", "score", "model_version", "as_of"
    )
    return (
        features.select("customer_id", "orders", "order_days", "amount", "amount_365d")
        .join(place, "customer_id", "left")
        .join(scored, "customer_id", "left")
        .groupBy(
            "rfm",
            "lifecycle",
            F.when(F.col("score") < 1, F.floor(F.col("score") * BINS))
            .when(F.col("score").isNotNull(), BINS - 1)
            .cast("int")
            .alias("bin"),
            (F.col("score") >= AT_RISK).alias("at_risk"),
        )
        .agg(
            F.count(F.lit(1)).alias("customers"),
            F.count_if(F.col("orders") > 0).alias("buyers"),
            F.count_if(F.col("order_days") > 1).alias("repeaters"),
            F.sum("amount").alias("amount"),
            F.sum("amount_365d").alias("amount_365d"),
            F.sum(F.round("score", 9).cast("decimal(28,9)")).alias("total"),
            F.array_sort(F.collect_set("model_version")).alias("versions"),
            F.max("as_of").alias("as_of"),
        )
        .collect()
    )


def _in_order(people: Sequence[Row], column: str, names: Sequence[Named]) -> list[Named]:
    known = {n.key for n in names}
    others = sorted({p[column] for p in people if p[column] is not None} - known)
    return [*names, *(Named(o, o) for o in others)]


def grouping(people: Sequence[Row], column: str, names: Sequence[Named]) -> Grouping:
    """Customers and amount by segment; empty when nobody is in one."""
    if all(p[column] is None for p in people):
        return Grouping()
    groups = []
    for segment in _in_order(people, column, names):
        mine = [p for p in people if p[column] == segment.key]
        groups.append(Group(segment, sum(p["customers"] for p in mine), total(mine, "amount")))
    return Grouping(tuple(groups))


def churn(people: Sequence[Row], names: Sequence[Named]) -> Churn:
    """Distribution of churn scores and customers at risk by tier; empty without scores."""
    scored = [p for p in people if p["bin"] is not None]
    if not scored:
        return Churn()
    risks = []
    unrated = [NO_TIER] if any(p["rfm"] is None for p in scored) else []
    for tier in [*_in_order(scored, "rfm", names), *unrated]:
        mine = [p for p in scored if (p["rfm"] or "") == tier.key]
        bad = [p for p in mine if p["at_risk"]]
        number = sum(p["customers"] for p in bad)
        risks.append(
            Risk(tier, sum(p["customers"] for p in mine), number, total(bad, "amount_365d"))
        )
    number = sum(p["customers"] for p in scored)
    return Churn(
        version=", ".join(sorted({v for p in scored for v in p["versions"]})),
        as_of=max(p["as_of"] for p in scored),
        mean=float(total(scored, "total") / number),
        bins=tuple(sum(p["customers"] for p in scored if p["bin"] == b) for b in range(BINS)),
        risks=tuple(risks),
    )


def tags(matrix: DataFrame, active: Sequence[tag_rules.Entry], language: str) -> Tags:
    """Coverage and most frequent values of every active tag that the matrix has."""
    shown = [e for e in active if e.key in matrix.columns]
    if not shown:
        return Tags()
    pairs = F.array(
        *(F.struct(F.lit(e.key).alias("tag"), F.col(e.key).alias("value")) for e in shown)
    )
    rows = (
        matrix.select("completeness", F.inline(pairs))
        .groupBy("tag", "value")
        .agg(F.count(F.lit(1)).alias("customers"), F.sum("completeness").alias("complete"))
        .collect()
    )
    if not rows:
        return Tags()
    by: dict[str, list[Any]] = defaultdict(list)
    for r in rows:
        by[r["tag"]].append(r)
    found = []
    for entry in sorted(shown, key=lambda e: (LEVELS.index(e.tag.level), e.key)):
        mine = by[entry.key]
        known = [(r["value"], r["customers"]) for r in mine if _known(r["value"])]
        top = sorted(known, key=lambda v: (-v[1], v[0]))[:TOP_VALUES]
        if entry.tag.sensitivity == "sensitive":
            top = []
        found.append(
            TagFigure(
                Named(entry.key, getattr(entry.tag.name, language)),
                entry.tag.level,
                sum(n for _, n in known),
                sum(r["customers"] for r in mine),
                tuple(v for v in top if v[1] >= SMALLEST_GROUP),
                len(known),
            )
        )
    one = by[shown[0].key]
    whole = sum(r["customers"] for r in one)
    return Tags(tuple(found), share(total(one, "complete"), whole))


def _known(value: str | None) -> bool:
    return value is not None and value != tag_rules.UNKNOWN
