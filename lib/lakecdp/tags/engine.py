"""Evaluation of the catalogue: all rules in one projection, and what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.tags.catalogue import UNKNOWN, Catalogue, Entry
from lakecdp.tags.expressions import Checker

FEATURES = "gold.customer_feature"
AS_OF = {"as_of": "DATE"}
"""The one column that rules have besides those of gold.customer_feature."""


def check(spark: SparkSession, catalogue: Catalogue) -> None:
    """Refuse the catalogue when the rule of a draft or active tag is wrong; reads no data.

    Raises:
        ConfigError: with file, line, what is wrong and the columns that do exist.
    """
    checker = Checker(spark, contracts.table(FEATURES), AS_OF)
    for entry in catalogue.entries:
        if entry.tag.status != "retired":
            checker.check(entry.tag.rule, entry.document, entry.place("rule"))


def evaluate(customers: DataFrame, tags: Sequence[Entry], as_of: date) -> DataFrame:
    """The values of all tags, side by side.

    Args:
        customers: rows of gold.customer_feature.
        tags: the tags wanted.
        as_of: the day that the run stands for.

    Returns:
        One row per customer: customer_id, completeness DECIMAL(5,4) (share of tags that are not
        unknown) and one STRING column per tag, never null.
    """
    dated = customers.withColumn("as_of", F.lit(as_of))
    values = dated.select("customer_id", *(_value(e).alias(e.key) for e in tags))
    known = sum((F.when(F.col(e.key) != UNKNOWN, 1).otherwise(0) for e in tags), F.lit(0))
    share = (known.cast("decimal(10,0)") / F.lit(len(tags)).cast("decimal(10,0)")).cast(
        "decimal(5,4)"
    )
    return values.select("customer_id", share.alias("completeness"), *(e.key for e in tags))


def _value(entry: Entry) -> Column:
    tag = entry.tag
    value = F.trim(F.expr(tag.rule).cast("string"))
    fits = value.isin(*tag.values) if tag.values else value != ""
    if tag.ttl_days is not None:
        fits = fits & (F.expr(f"datediff(as_of, last_active_on) <= {tag.ttl_days}"))
    return F.when(fits, value).otherwise(UNKNOWN)


def changes(values: DataFrame, matrix: DataFrame, gone: DataFrame, *, every: bool) -> DataFrame:
    """What the new values change, tag by tag.

    Args:
        values: new values, see `evaluate`.
        matrix: gold.tag_matrix before.
        gone: customer_id of customers that are no more.
        every: all values, not only those that differ.

    Returns:
        One row per customer_id and tag: value STRING, null when the customer has the tag no more
        (the tag was retired, or the customer is gone).
    """
    new, old = tag_columns(values), tag_columns(matrix)
    names = sorted({*new, *old})
    side = {
        n: (
            F.col(f"v.{n}") if n in new else F.lit(None).cast("string"),
            F.col(f"m.{n}") if n in old else F.lit(None).cast("string"),
        )
        for n in names
    }
    # Customers that are neither evaluated nor gone keep their values, so this is no full join.
    rows = values.unionByName(gone, allowMissingColumns=True).alias("v")
    both = rows.join(matrix.alias("m"), F.col("v.customer_id") == F.col("m.customer_id"), "left")
    differs = F.lit(every)
    for n in names:
        differs = differs | ~side[n][0].eqNullSafe(side[n][1])
    cells = [
        F.struct(F.lit(n).alias("tag"), side[n][0].alias("value"), side[n][1].alias("old"))
        for n in names
    ]
    melted = both.where(differs).select(F.col("v.customer_id"), F.inline(F.array(*cells)))
    if not every:
        melted = melted.where(~F.col("value").eqNullSafe(F.col("old")))
    return melted.where("value IS NOT NULL OR old IS NOT NULL").drop("old")


def tag_columns(matrix: DataFrame) -> list[str]:
    """The tags among the columns of gold.tag_matrix."""
    fixed = {*contracts.table("gold.tag_matrix").column_names, "_batch"}
    return [c for c in matrix.columns if c not in fixed]


def matrix_rows(values: DataFrame, changed: DataFrame, matrix: DataFrame) -> DataFrame:
    """The rows of gold.tag_matrix to write: customers with a change; retired tags are null."""
    retired = [c for c in tag_columns(matrix) if c not in values.columns]
    rows = values.join(changed.select("customer_id").distinct(), "customer_id", "left_semi")
    return rows.select("*", *(F.lit(None).cast("string").alias(c) for c in retired))
