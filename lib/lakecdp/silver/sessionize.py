"""One batch of sessions: which of them new, changed and deleted events touch, and what differs then.

Events are never further apart within a session than the pause that ends one. So a change can reach
no event beyond the first such pause on either side: the *run of activity* around it is put into
sessions again, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.platform.batch import Batch
from lakecdp.silver.restate import Days, changes, days_of, on_days, wider, write
from lakecdp.silver.session_rules import SessionRules
from lakecdp.silver.sessions import SESSION, hits, session_rows, sessionised
from lakecdp.silver.valid import KEY, valid

EVENT, VACATED = "silver.event", "silver.vacated"
TRAFFIC, VACATED_TRAFFIC = "silver.event_traffic", "silver.vacated_traffic"
EVENT_SESSION, SESSIONS, LEFT = "silver.event_session", "silver.session", "silver.vacated_session"
INPUTS = (EVENT, VACATED, TRAFFIC, VACATED_TRAFFIC)
OUTPUTS = (EVENT_SESSION, SESSIONS, LEFT)
VERSION = "2"
OWNER = "owner_node"


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
    every, traffic = batch.read(EVENT), batch.read(TRAFFIC)
    before, sessions = batch.read(EVENT_SESSION), batch.read(SESSIONS)
    if batch.full:
        every = hits(valid(every, traffic), rules, identities)
    else:
        fresh = _fresh(batch)
        good = hits(valid(fresh, traffic), rules, identities)
        touched = _touched(batch, fresh.select(*KEY), good, rules)
        if touched is None:
            return
        inside = touched.runs.select("visitor", "lo", "hi")
        every = valid(touched.of(every, "event_date"), touched.of(traffic, "event_date"))
        every = _within(hits(every, rules, identities), inside, "visitor", "event_at")
        sessions = _within(touched.of(sessions), inside, "visitor_node", "started_at")
        keys = sessions.select(*SESSION)
        before = touched.of(before, "event_date").join(keys, list(SESSION), "left_semi")
    found = batch.hold(sessionised(every, rules))
    events, gone = changes(batch, EVENT_SESSION, found, before, was=(OWNER,))
    rows, over = changes(batch, SESSIONS, session_rows(found, rules), sessions)
    written = write(batch, EVENT_SESSION, events, gone)
    written += write(batch, SESSIONS, rows, over)
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
        return on_days(rows, self.days, day) if day else _sessions_on(rows, self.days)


def _sessions_on(sessions: DataFrame, days: Days | None) -> DataFrame:
    return on_days(sessions, days, "session_date", "last_date")


def _fresh(batch: Batch) -> DataFrame:
    """Events that are new or changed, and those that are flagged otherwise than before."""
    flagged = batch.new_rows(TRAFFIC).select(*KEY)
    flagged = flagged.union(batch.new_rows(VACATED_TRAFFIC).select(*KEY)).distinct()
    known = batch.read(EVENT).where(F.col("_batch") <= batch.since.mark)
    known = on_days(known, days_of(flagged.select("event_date")), "event_date")
    return batch.new_rows(EVENT).union(known.join(flagged, KEY, "left_semi"))


def _touched(
    batch: Batch, fresh: DataFrame, good: DataFrame, rules: SessionRules
) -> _Touched | None:
    """The runs of activity around new, changed and deleted events; None when there are none.

    Args:
        batch: the batch.
        fresh: keys of new and changed events.
        good: those that belong to some session, see `hits`.
        rules: the rules in force.
    """
    points = batch.keep(good.select("visitor", "event_date", "event_at"))
    former = batch.keep(_former(batch, fresh))
    days = days_of(points.select("event_date"), former.select("session_date"))
    if days == frozenset():
        return None
    # No pause within a session is longer than a day.
    days = wider(days)
    sessions = batch.read(SESSIONS)
    seeds = former.withColumn("_seed", F.lit(True))
    visitors = points.select("visitor").union(
        _sessions_on(sessions, days).join(former, list(SESSION), "left_semi").select("visitor_node")
    )
    visitors = batch.keep(visitors.distinct())
    while True:
        near = (
            _sessions_on(sessions, days)
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
        reached = wider(days_of(runs.select(whole)))
        if reached is not None and reached <= days:
            return _Touched(runs, reached)
        # A session of a run goes on beyond the days looked at, and may have neighbours there.
        days = None if reached is None else days | reached


def _former(batch: Batch, changed: DataFrame) -> DataFrame:
    """Sessions that changed or deleted events were in."""
    known = batch.read(EVENT_SESSION)
    left = batch.new_rows(VACATED).where(F.col("target") == EVENT).select("day").distinct()
    there = batch.read(EVENT).select(*KEY)
    days, vacated = days_of(changed.select("event_date")), days_of(left)
    again = on_days(known, days, "event_date").join(changed, KEY, "left_semi")
    lost = on_days(known, vacated, "event_date").join(
        on_days(there, vacated, "event_date"), KEY, "left_anti"
    )
    if vacated is None:
        lost = lost.join(left, F.col("event_date") == F.col("day"), "left_semi")
    return again.select(*SESSION).union(lost.select(*SESSION)).distinct()


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


def _left(events: DataFrame, gone: DataFrame) -> DataFrame:
    """Owners and days that events have left: those with another owner now, and the deleted ones."""
    moved = events.where(f"NOT ({OWNER} <=> _was_{OWNER})").select(
        F.col(f"_was_{OWNER}").alias(OWNER), F.col("event_date").alias("day")
    )
    return (
        moved.union(gone.select("owner_node", "event_date"))
        .where("owner_node IS NOT NULL")
        .distinct()
    )
