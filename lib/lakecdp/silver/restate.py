"""Tables that are computed from events and restated in part: which days, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.platform.batch import Batch

FEW_DAYS = 400
_DAY = timedelta(days=1)
Days = frozenset[date]


def days_of(*columns: DataFrame) -> Days | None:
    """The days that stand in frames of one column; None when naming them is of no use."""
    rows = reduce(DataFrame.union, columns).distinct().limit(FEW_DAYS + 1).collect()
    return frozenset(r[0] for r in rows) if len(rows) <= FEW_DAYS else None


def wider(days: Days | None, reach: int = 1) -> Days | None:
    """With so many days before and after each."""
    return days and frozenset(d + n * _DAY for d in days for n in range(-reach, reach + 1))


def on_days(rows: DataFrame, days: Days | None, first: str, last: str | None = None) -> DataFrame:
    """The rows of some days, so that only their files are read.

    Args:
        rows: events, or what lasts for days.
        days: the days; None: all.
        first: the day of a row, or its first day.
        last: its last day.
    """
    if days is None:
        return rows
    spans = [
        (F.col(first) <= F.lit(until)) & (F.col(last or first) >= F.lit(since))
        for since, until in spans_of(days)
    ]
    return rows.where(reduce(Column.__or__, spans, F.lit(False)))


def spans_of(days: Iterable[date]) -> list[tuple[date, date]]:
    """Days as spans of days without a gap, in order."""
    spans: list[tuple[date, date]] = []
    for day in sorted(days):
        if spans and spans[-1][1] == day - _DAY:
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def changes(
    batch: Batch, name: str, now: DataFrame, before: DataFrame, was: Sequence[str] = ()
) -> tuple[DataFrame, DataFrame]:
    """What differs from the rows before.

    Args:
        batch: the batch.
        name: the table.
        now: the rows as they are to be.
        before: the rows of the table that `now` stands for.
        was: columns whose former values are wanted.

    Returns:
        Rows that are new or other, with `_was_` and the name of each column of `was`; and former rows
        whose key is no more.
    """
    contract = contracts.table(name)
    key, columns = list(contract.key), [F.col(c.name).cast(c.type) for c in contract.columns]
    now = now.select(*(c.alias(n) for c, n in zip(columns, contract.column_names, strict=True)))
    if not batch.since.mark:
        kinds = {c.name: c.type for c in contract.columns}
        return now.withColumns(
            {f"_was_{c}": F.lit(None).cast(kinds[c]) for c in was}
        ), before.limit(0)
    facts = [c for c in contract.column_names if c not in key]
    old = before.select(*key, F.struct(*facts).alias("_old"))
    both = now.join(old, key, "left").where(
        F.col("_old").isNull() | ~F.struct(*facts).eqNullSafe(F.col("_old"))
    )
    former = [F.col(f"_old.{c}").alias(f"_was_{c}") for c in was]
    changed = batch.hold(both.select(*contract.column_names, *former))
    gone = batch.hold(before.join(now.select(*key), key, "left_anti"))
    return changed, gone


def write(batch: Batch, name: str, rows: DataFrame, gone: DataFrame) -> int:
    """Write what differs and delete what is no more; returns the rows written and deleted."""
    names = contracts.table(name).column_names
    if not batch.since.mark:
        return batch.append(name, rows)
    both = rows.select(*names, F.lit(False).alias("_gone")).unionByName(
        gone.select(*names, F.lit(True).alias("_gone"))
    )
    if both.isEmpty():
        return 0
    counts = batch.upsert(name, both, delete_when="s._gone")
    return counts.written + counts.deleted
