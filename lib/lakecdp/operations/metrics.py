"""What is measured of a table: rows, newest time, gaps and applied rules, by source and day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.contracts import TableContract
from lakecdp.contracts.operations_table_day import COUNTS
from lakecdp.operations.monitoring_rules import watched_columns
from lakecdp.silver.canonical import TIMES

NAMED = {"silver.quarantine": "arrived_at"}
KEY = ("table_name", "source", "day")


def day_of(contract: TableContract) -> str | None:
    """The column with the day of a row; None where a table has none that its files are laid out by."""
    types = {c.name: c.type for c in contract.columns}
    first = [contract.prune_by, *contract.cluster_by[:1]]
    return next((c for c in first if c is not None and types.get(c) == "DATE"), None)


def time_of(contract: TableContract) -> str | None:
    """The column with the time that a row states; None where it states none."""
    known = TIMES.get(contract.name.removeprefix("silver."), (None, None))[0]
    return known or NAMED.get(contract.name)


def measured(
    rows: DataFrame, table: str, written_on: date, rules: Sequence[tuple[str, str]] = ()
) -> DataFrame:
    """Measure rows of one table.

    Args:
        rows: rows of the table: of a table with a day all those of the days concerned.
        table: its name.
        written_on: day of the rows of a table that has none.
        rules: kind (repair or outlier) and name of the rules of conf/repairs.yaml for the table.

    Returns:
        One row per source and day that has rows: the columns of operations.table_day.
    """
    contract = contracts.table(table)
    day, time, names = day_of(contract), time_of(contract), set(contract.column_names)
    source = F.col("source") if "source" in names else F.lit("")
    gaps = {c: F.count_if(F.col(f"`{c}`").isNull()) for c in watched_columns(contract)}
    applied = {
        kind: {
            rule: F.count_if(F.array_contains(f"{kind}s", rule)) for k, rule in rules if k == kind
        }
        for kind in ("repair", "outlier")
    }
    rows = rows.withColumns(
        {"_source": source, "_day": F.col(day) if day else F.lit(written_on).cast("date")}
    )
    found = (
        rows.where("_day IS NOT NULL")
        .groupBy("_source", "_day")
        .agg(
            F.count(F.lit(1)).alias("rows"),
            (F.max(time) if time else F.lit(None).cast("timestamp")).alias("newest_at"),
            _counts(gaps).alias("nulls"),
            _counts(applied["repair"]).alias("repaired"),
            _counts(applied["outlier"]).alias("flagged"),
        )
    )
    return found.select(
        F.lit(table).alias("table_name"),
        F.col("_source").alias("source"),
        F.col("_day").alias("day"),
        "rows",
        "newest_at",
        "nulls",
        "repaired",
        "flagged",
    )


def _counts(measures: dict[str, Column]) -> Column:
    """Aggregates as an array in order of name, without those that count nothing."""
    pairs = [F.struct(F.lit(n).alias("name"), m.alias("rows")) for n, m in sorted(measures.items())]
    every = F.array(*pairs) if pairs else F.array()
    return F.filter(every.cast(COUNTS), lambda p: p["rows"] > 0)


def added(new: DataFrame, before: DataFrame) -> DataFrame:
    """Measures of rows written now together with those that runs of the same date wrote before.

    Args:
        new: from `measured`, for tables without a day.
        before: operations.table_day.

    Returns:
        One row per row of `new`.
    """
    both = new.unionByName(
        before.join(new.select(*KEY), list(KEY), "left_semi").select(*new.columns)
    )
    return both.groupBy(*KEY).agg(
        F.sum("rows").alias("rows"),
        F.max("newest_at").alias("newest_at"),
        *[_sum(c).alias(c) for c in ("nulls", "repaired", "flagged")],
    )


def _sum(name: str) -> Column:
    """The counts of several rows, added by name."""
    every = F.flatten(F.collect_list(name))
    names = F.array_sort(F.array_distinct(F.transform(every, lambda p: p["name"])))

    def total(one: Column) -> Column:
        mine = F.filter(every, lambda p: p["name"] == one)
        return F.aggregate(mine, F.lit(0).cast("bigint"), lambda sum_, p: sum_ + p["rows"])

    return F.transform(names, lambda n: F.struct(n.alias("name"), total(n).alias("rows"))).cast(
        COUNTS
    )
