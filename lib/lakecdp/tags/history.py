"""History of values by run date: one row per key and period in which it had one value.

The table says what the last run of each run date found, however often that date was run: a value
that changes again on the same date replaces the day's row, and one that goes back to the day
before opens the former row again. A run date earlier than the last takes the history back to it:
what later dates had found is void until they are run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def revise(
    current: DataFrame,
    found: DataFrame,
    run_date: date,
    *,
    key: Sequence[str],
    value: str,
    detail: Sequence[str] = (),
    complete: bool,
) -> DataFrame:
    """The rows to write so that the table says what was found on a run date.

    Args:
        current: the table: key, value, detail, valid_from DATE, valid_to DATE (null while lasting).
        found: one row per key: value and detail; a null value says that the key has none.
        run_date: the date.
        key: columns that name what has a history.
        value: column whose change begins a new period.
        detail: columns that are kept as they were when the period began.
        complete: `found` has every key that has a value; others are closed. Otherwise the keys
            that `found` does not have stay as they are.

    Returns:
        One row per key and valid_from to upsert, or to delete where `_gone` BOOLEAN is true;
        nothing for what is right already.
    """
    day = F.lit(run_date)
    state = [value, *detail]
    period = F.struct(*state, "valid_from", "valid_to")
    lasting = (
        current.where(F.col("valid_to").isNull() | (F.col("valid_to") >= day))
        .groupBy(*key)
        .agg(
            F.max(F.when(F.col("valid_from") < day, period)).alias("before"),
            F.max(F.when(F.col("valid_from") == day, period)).alias("today"),
            F.collect_list(F.when(F.col("valid_from") > day, period)).alias("later"),
        )
    )
    now = found.select(*key, F.struct(*state).alias("now"))
    joined = now.join(lasting, list(key), "full" if complete else "left")

    before, today, is_now = F.col("before"), F.col("today"), F.col(f"now.{value}")
    lasts = F.coalesce(is_now == before[value], F.lit(False))
    begins = is_now.isNotNull() & ~lasts
    until = F.when(~lasts, day)
    right = (
        F.coalesce(
            today["valid_to"].isNull()
            & F.struct(*(today[c] for c in state)).eqNullSafe(
                F.struct(*(F.col(f"now.{c}") for c in state))
            ),
            F.lit(False),
        )
        & today.isNotNull()
    )

    def row(source: Column, valid_from: Column, valid_to: Column, gone: bool) -> Column:
        return F.struct(
            *(source[c].alias(c) for c in state),
            valid_from.cast("date").alias("valid_from"),
            valid_to.cast("date").alias("valid_to"),
            F.lit(gone).alias("_gone"),
        )

    open_end = F.lit(None)
    rows = F.array(
        F.when(
            before.isNotNull() & ~before["valid_to"].eqNullSafe(until),
            row(before, before["valid_from"], until, False),
        ),
        F.when(begins & ~right, row(F.col("now"), day, open_end, False)).when(
            ~begins & today.isNotNull(), row(today, day, open_end, True)
        ),
    )
    void = F.transform("later", lambda p: row(p, p["valid_from"], open_end, True))
    every = F.when(F.size("later") > 0, F.concat(rows, void)).otherwise(rows)
    return (
        joined.select(*key, F.explode(every).alias("period"))
        .where("period IS NOT NULL")
        .select(*key, "period.*")
    )
