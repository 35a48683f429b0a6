"""Values repaired and rows flagged as `conf/repairs.yaml` declares: pure functions over frames."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp.silver.repair_rules import Outlier, Repair, RepairRules

MARKS = "_marks"
MARK_TYPE = "ARRAY<STRUCT<rule: STRING, column: STRING>>"
_NEW = "_new"


def repaired(rows: DataFrame, rules: RepairRules, types: Mapping[str, str]) -> DataFrame:
    """Apply repairs in their order; each sees what those before it have done.

    A repair is applied to a row where its condition holds and it gives a value that differs from
    the one there. It never takes a value away: where its expression gives null, nothing happens.

    Args:
        rows: the columns of `types`, in these types, and `given` where a rule reads it.
        rules: those for these rows.
        types: Spark SQL type of each column.

    Returns:
        The same rows with `_marks` ARRAY<STRUCT<rule: STRING, column: STRING>>: what was applied.
    """
    rows = rows.withColumn(MARKS, F.array().cast(MARK_TYPE))
    for rule in rules.repairs:
        rows = _applied(rows, rule, types)
    # A generator, because a later condition on a repaired value would otherwise be pushed below all
    # of them, and each use of a value there copies the rules that made it: the plan doubles by rule.
    return rows.select(F.inline(F.array(F.struct(*[F.col(f"`{c}`") for c in rows.columns]))))


def _applied(rows: DataFrame, rule: Repair, types: Mapping[str, str]) -> DataFrame:
    given = [F.expr(text).cast(types[c]).alias(c) for c, text in rule.values.items()]
    rows = rows.withColumn(_NEW, F.when(F.expr(rule.when), F.struct(*given)))
    marks, values = [], {}
    for column in rule.values:
        new, old = F.col(_NEW)[column], F.col(f"`{column}`")
        mark = F.struct(F.lit(rule.name).alias("rule"), F.lit(column).alias("column"))
        marks.append(F.when(new.isNotNull() & ~new.eqNullSafe(old), mark))
        values[column] = F.coalesce(new, old)
    found = F.when(F.col(_NEW).isNotNull(), F.array_compact(F.array(*marks)))
    both = F.concat(MARKS, F.coalesce(found, F.array().cast(MARK_TYPE)))
    return rows.withColumns({**values, MARKS: both}).drop(_NEW)


def names_of(marks: Column, column: str | None = None) -> Column:
    """Names of the rules in marks, each once and in order of application; null where there are none.

    Args:
        marks: as `repaired` gives them.
        column: only the rules that set this one.
    """
    if column is not None:
        marks = F.filter(marks, lambda m: m["column"] == F.lit(column))
    rules = F.array_distinct(F.transform(marks, lambda m: m["rule"]))
    return F.when(F.size(rules) > 0, rules)


def flags(outliers: tuple[Outlier, ...]) -> Column:
    """ARRAY<STRING>: the outlier rules whose condition holds; null where none does."""
    none = F.lit(None).cast("array<string>")
    if not outliers:
        return none
    conditions = [(F.coalesce(F.expr(r.when), F.lit(False)), r.name) for r in outliers]
    any_of = reduce(Column.__or__, [c for c, _ in conditions])
    named = F.array_compact(F.array(*[F.when(c, F.lit(n)) for c, n in conditions]))
    return F.when(any_of, named)
