"""One batch of sessions: which of them new, changed and deleted events touch, and what differs then.

Events are never further apart within a session than the pause that ends one. So a change can reach
no event beyond the first such pause on either side: the *run of activity* around it is put into
sessions again, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.governance.identifiers import IdentityRules
from lakecdp.platform.batch import Batch
from lakecdp.silver.session_rules import SessionRules
from lakecdp.silver.sessions import SESSION, hits, session_rows, sessionised

EVENT, VACATED = "silver.event", "silver.vacated"
EVENT_SESSION, SESSIONS, LEFT = "silver.event_session", "silver.session", "silver.vacated_session"
INPUTS = (EVENT, VACATED)
OUTPUTS = (EVENT_SESSION, SESSIONS, LEFT)
VERSION = "1"
FEW_DAYS = 400
KEY = ["event_date", "event_id"]
_DAY = timedelta(days=1)
Days = frozenset[date]


def fingerprint(rules: SessionRules, identities: IdentityRules) -> str:
    """Changes whenever the same events may make other sessions or have other owners."""
    return f"{VERSION}:{rules.fingerprint(identities)}"


def sessionize(batch: Batch, rules: SessionRules, identities: IdentityRules) -> None:
    """Put events into sessions, those alone that the batch can change, and write what differs.

    Args:
        batch: a batch with INPUTS and OUTPUTS.
        rules: the rules of sessions.
        identities: the identity rules.
    """
    every = hits(batch.read(EVENT), rules, identities)
    before, sessions = batch.read(EVENT_SESSION), batch.read(SESSIONS)
    if not batch.full:
        touched = _touched(batch, hits(batch.new_rows(EVENT), rules, identities), rules)
        if touched is None:
            return
        inside = touched.runs.select("visitor", "lo", "hi")
        every = _within(touched.of(every, "event_date"), inside, "visitor", "event_at")
        sessions = _within(touched.of(sessions), inside, "visitor_node", "started_at")
        keys = sessions.select(*SESSION)
        before = touched.of(before, "event_date").join(keys, list(SESSION), "left_semi")
    found = batch.hold(sessionised(every, rules))
    events, gone = _changes(batch, EVENT_SESSION, found, before)
    rows, over = _changes(batch, SESSIONS, session_rows(found, rules), sessions)
    written = _write(batch, EVENT_SESSION, events, gone)
    written += _write(batch, SESSIONS, rows, over)
    if batch.since.mark:
        left = _left(events, gone)
        if not left.isEmpty():
            batch.append(LEFT, left)
    batch.count(rows_out=written)


@dataclass(frozen=True)
class _Touched:
    """Runs of activity to do again.

    Attributes:
        runs: visitor BIGINT, lo and hi TIMESTAMP; runs of a visitor are apart.
        days: all days of the runs, the day before and the day after; None when they are many.
    """

    runs: DataFrame
    days: Days | None

    def of(self, rows: DataFrame, day: str | None = None) -> DataFrame:
        """The rows of those days, so that only their files are read.

        Args:
            rows: events or sessions.
            day: the day of an event; None for sessions, which have a first and a last day.
        """
        return _on(rows, self.days, day)


def _on(rows: DataFrame, days: Days | None, day: str | None = None) -> DataFrame:
    if days is None:
        return rows
    first, last = (day, day) if day else ("session_date", "last_date")
    spans = [
        (F.col(first) <= F.lit(until)) & (F.col(last) >= F.lit(since))
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


def _touched(batch: Batch, fresh: DataFrame, rules: SessionRules) -> _Touched | None:
    """The runs of activity around new, changed and deleted events; None when there are none."""
    points = batch.keep(fresh.select("visitor", "event_date", "event_at"))
    former = batch.keep(_former(batch))
    days = _days(points.select("event_date"), former.select("session_date"))
    if days == frozenset():
        return None
    days = _wider(days)
    sessions = batch.read(SESSIONS)
    seeds = former.withColumn("_seed", F.lit(True))
    visitors = points.select("visitor").union(
        _on(sessions, days).join(former, list(SESSION), "left_semi").select("visitor_node")
    )
    visitors = batch.keep(visitors.distinct())
    while True:
        near = (
            _on(sessions, days)
            .join(visitors, F.col("visitor_node") == F.col("visitor"), "left_semi")
            .join(seeds, list(SESSION), "left")
            .select(
                F.col("visitor_node").alias("visitor"),
                F.col("started_at").alias("lo"),
                F.col("ended_at").alias("hi"),
                F.coalesce("_seed", F.lit(False)).alias("seed"),
            )
        )
        at = points.select("visitor", F.col("event_at").alias("lo"), F.col("event_at").alias("hi"))
        runs = batch.keep(_runs(near.union(at.withColumn("seed", F.lit(True))), rules))
        if days is None:
            return _Touched(runs, None)
        whole = F.explode(F.sequence(F.to_date("lo"), F.to_date("hi"))).alias("day")
        reached = _wider(_days(runs.select(whole)))
        if reached is not None and reached <= days:
            return _Touched(runs, reached)
        # A session of a run goes on beyond the days looked at, and may have neighbours there.
        days = None if reached is None else days | reached


def _former(batch: Batch) -> DataFrame:
    """Sessions that changed or deleted events were in."""
    changed = batch.new_rows(EVENT).select(*KEY)
    known = batch.read(EVENT_SESSION)
    left = batch.new_rows(VACATED).where(F.col("target") == EVENT).select("day").distinct()
    there = batch.read(EVENT).select(*KEY)
    days, vacated = _days(changed.select("event_date")), _days(left)
    again = _on(known, days, "event_date").join(changed, KEY, "left_semi")
    lost = _on(known, vacated, "event_date").join(
        _on(there, vacated, "event_date"), KEY, "left_anti"
    )
    if vacated is None:
        lost = lost.join(left, F.col("event_date") == F.col("day"), "left_semi")
    return again.select(*SESSION).union(lost.select(*SESSION)).distinct()


def _days(*columns: DataFrame) -> Days | None:
    """The days that stand in frames of one column; None when naming them is of no use."""
    rows = reduce(DataFrame.union, columns).distinct().limit(FEW_DAYS + 1).collect()
    return frozenset(r[0] for r in rows) if len(rows) <= FEW_DAYS else None


def _wider(days: Days | None) -> Days | None:
    """With the day before and after each: no pause within a session is longer than a day."""
    return days and frozenset(d + n * _DAY for d in days for n in (-1, 0, 1))


def _runs(spans: DataFrame, rules: SessionRules) -> DataFrame:
    """Sessions and single events put together where no pause is between them.

    Args:
        spans: visitor, lo, hi, seed.
        rules: the rules in force.

    Returns:
        One row per run of activity with a seed in it: visitor, lo, hi.
    """
    ordered = Window.partitionBy("visitor").orderBy("lo", "hi")
    before = F.max(F.unix_micros("hi")).over(ordered.rowsBetween(Window.unboundedPreceding, -1))
    pause = F.unix_micros("lo") - before
    begins = F.when(pause > rules.inactivity_minutes * 60_000_000, 1).otherwise(0)
    return (
        spans.withColumn("_begins", begins)
        .withColumn("_run", F.sum("_begins").over(ordered))
        .groupBy("visitor", "_run")
        .agg(F.min("lo").alias("lo"), F.max("hi").alias("hi"), F.max("seed").alias("seed"))
        .where("seed")
        .select("visitor", "lo", "hi")
    )


def _within(rows: DataFrame, runs: DataFrame, visitor: str, at: str) -> DataFrame:
    """The rows that fall into a run of their visitor."""
    r = runs.select(F.col("visitor").alias("_who"), "lo", "hi")
    inside = (F.col(visitor) == F.col("_who")) & F.col(at).between(F.col("lo"), F.col("hi"))
    return rows.join(r, inside, "left_semi")


def _changes(
    batch: Batch, name: str, now: DataFrame, before: DataFrame
) -> tuple[DataFrame, DataFrame]:
    """What differs from the rows before.

    Returns:
        Rows that are new or other, with `_was` (their owner before); and former rows whose key is
        no more.
    """
    contract = contracts.table(name)
    key, columns = list(contract.key), [F.col(c.name).cast(c.type) for c in contract.columns]
    now = now.select(*(c.alias(n) for c, n in zip(columns, contract.column_names, strict=True)))
    if not batch.since.mark:
        none = F.lit(None).cast("bigint")
        return now.withColumn("_was", none), before.limit(0)
    facts = [c for c in contract.column_names if c not in key]
    old = before.select(*key, F.struct(*facts).alias("_old"))
    both = now.join(old, key, "left").where(
        F.col("_old").isNull() | ~F.struct(*facts).eqNullSafe(F.col("_old"))
    )
    changed = batch.hold(
        both.select(*contract.column_names, F.col("_old.owner_node").alias("_was"))
    )
    gone = batch.hold(before.join(now.select(*key), key, "left_anti"))
    return changed, gone


def _write(batch: Batch, name: str, rows: DataFrame, gone: DataFrame) -> int:
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


def _left(events: DataFrame, gone: DataFrame) -> DataFrame:
    """Owners and days that events have left: those with another owner now, and the deleted ones."""
    moved = events.where("NOT (owner_node <=> _was)").select(
        F.col("_was").alias("owner_node"), F.col("event_date").alias("day")
    )
    return (
        moved.union(gone.select("owner_node", "event_date"))
        .where("owner_node IS NOT NULL")
        .distinct()
    )
