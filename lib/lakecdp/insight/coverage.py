"""What arrived against what was expected, for people: by channel and event, from one day to another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.insight.figures import ChannelState, Coverage, Covered, ShortFile, Violation

RECENT_DAYS = 30
"""Days up to the run date that the report looks at."""
SHOWN = 12
TABLES = (
    "gold.coverage",
    "gold.coverage_file",
    "gold.channel",
    "gold.tracking_plan",
    "gold.tracking_violation",
)


def coverage(
    read: Callable[[str], DataFrame], since: date, until: date, most: int = SHOWN
) -> Coverage:
    """The figures, a small query for each table.

    Args:
        read: the published rows of a table.
        since: first day (UTC).
        until: last day (UTC).
        most: files and violations that are listed, the largest first.
    """
    days = F.col("day").between(since, until)
    channels = [
        ChannelState(
            r["channel"],
            r["kind"],
            r["declared"],
            r["connected"],
            tuple(r["sources"]),
            r["last_day"],
        )
        for r in read("gold.channel").orderBy("channel").collect()
    ]
    short = read("gold.coverage_file").where(days).where(
        "expected > arrived OR expected_amount <> coalesce(arrived_amount, 0)"
    )  # fmt: skip
    return Coverage(
        since,
        until,
        _covered(read("gold.coverage").where(days), read("gold.channel")),
        _short(short, most),
        short.count(),
        _violations(read("gold.tracking_violation").where(days), most),
        *_plan(read("gold.tracking_plan")),
        tuple(channels),
    )


def _covered(rows: DataFrame, channels: DataFrame) -> tuple[Covered, ...]:
    targets = {r["channel"]: r["target"] for r in channels.select("channel", "target").collect()}
    names = ("expected", "missing", "expected_amount", "amount_difference")
    found = (
        rows.where("basis <> 'none'")
        .groupBy("channel", "event", "source", "basis")
        .agg(*[F.sum(n).alias(n) for n in names])
        .orderBy("channel", "basis", "event", "source")
        .collect()
    )
    return tuple(
        Covered(
            r["channel"],
            r["event"],
            r["source"],
            r["basis"],
            r["expected"],
            r["missing"],
            targets.get(r["channel"]),
            r["expected_amount"],
            r["amount_difference"],
        )
        for r in found
    )


def _short(rows: DataFrame, most: int) -> tuple[ShortFile, ...]:
    names = ("source", "file", "day", "expected", "arrived", "expected_amount", "arrived_amount")
    worst = rows.orderBy(F.expr("expected - arrived").desc(), F.desc("day"), "source", "file")
    return tuple(ShortFile(*(r[n] for n in names)) for r in worst.limit(most).collect())


def _violations(rows: DataFrame, most: int) -> tuple[Violation, ...]:
    key = ("plan", "event", "property", "app_version", "violation", "found")
    found = rows.groupBy(*key).agg(
        F.sum("records").alias("records"),
        F.max("day").alias("last_day"),
        F.max_by("sample", "day").alias("sample"),
    )
    worst = found.orderBy(F.desc("records"), *key).limit(most).collect()
    return tuple(Violation(*(r[n] for n in (*key, "records", "last_day", "sample"))) for r in worst)


def _plan(rows: DataFrame) -> tuple[int, tuple[str, ...]]:
    """How much is planned, and what of it was never seen; of an event unseen the name stands alone."""
    stated = rows.select("plan", "event", "property", "status").collect()
    missing = {(r["plan"], r["event"], r["property"]) for r in stated if r["status"] == "missing"}
    unseen = [
        f"{plan}: {event}.{name}" if name else f"{plan}: {event}"
        for plan, event, name in sorted(missing)
        if not name or (plan, event, "") not in missing
    ]
    return len(stated), tuple(unseen)
