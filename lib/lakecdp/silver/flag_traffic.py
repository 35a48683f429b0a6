"""One batch of flags: which events new, changed and deleted ones may cause to be judged otherwise.

An event is judged with the others of its actor on days near by (`TrafficRules.reach`). So an event that
arrives concerns its actor on those days. What a record said that is restated or gone is known no more, so
on the days that such records have left everybody is judged again.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp.platform.batch import Batch
from lakecdp.silver.restate import Days, changes, days_of, on_days, wider, write
from lakecdp.silver.traffic import judged, sightings
from lakecdp.silver.traffic_rules import Traffic
from lakecdp.silver.valid import KEY

EVENT, VACATED = "silver.event", "silver.vacated"
FLAGS, LEFT = "silver.event_traffic", "silver.vacated_traffic"
INPUTS = (EVENT, VACATED)
OUTPUTS = (FLAGS, LEFT)
VERSION = "1"


def fingerprint(traffic: Traffic) -> str:
    """Changes whenever the same events may be judged otherwise."""
    return f"{VERSION}:{traffic.fingerprint()}"


def flag_traffic(batch: Batch, traffic: Traffic) -> None:
    """Judge the events that the batch can concern, and write what differs.

    Args:
        batch: a batch with INPUTS and OUTPUTS.
        traffic: the rules.
    """
    events, before = batch.read(EVENT), batch.read(FLAGS)
    if batch.full:
        flags = judged(batch.hold(sightings(events, traffic)), traffic)
    else:
        near = _near(batch, traffic)
        if near is None:
            return
        seen = sightings(on_days(events, near.read, "event_date"), traffic)
        seen = batch.hold(near.actors_of(seen))
        flags = near.concerned(judged(seen, traffic), seen)
        before = near.concerned(on_days(before, near.written, "event_date"), seen)
    found, gone = changes(batch, FLAGS, batch.hold(flags), before)
    written = write(batch, FLAGS, found, gone)
    if batch.since.mark and not gone.isEmpty():
        batch.append(LEFT, gone.select(*KEY))
    batch.count(rows_out=written)


@dataclass(frozen=True)
class _Near:
    """What is judged again.

    Attributes:
        pairs: actor BIGINT and event_date of what has arrived, with the days near by.
        whole: days on which everybody is judged again; None: all days.
        written: all days that are judged again; None: all.
        read: the days that this takes; None: all.
    """

    pairs: DataFrame
    whole: Days | None
    written: Days | None
    read: Days | None

    def actors_of(self, seen: DataFrame) -> DataFrame:
        """The sightings that are needed: all of an actor, and all on days around whole ones."""
        if self.written is None:
            return seen
        actors = self.pairs.select("actor").distinct().withColumn("_theirs", F.lit(True))
        around = _among(self.read if self.whole else None)
        return (
            seen.join(actors, "actor", "left")
            .where(F.col("_theirs").isNotNull() | around)
            .drop("_theirs")
        )

    def concerned(self, rows: DataFrame, seen: DataFrame) -> DataFrame:
        """The flags that are judged again: of these actors and days, and of whole days."""
        if self.written is None:
            return rows
        theirs = seen.join(self.pairs, ["actor", "event_date"], "left_semi").select(*KEY)
        marked = rows.join(theirs.withColumn("_theirs", F.lit(True)), KEY, "left")
        return marked.where(F.col("_theirs").isNotNull() | _among(self.whole)).drop("_theirs")


def _among(days: Days | None) -> Column:
    return F.col("event_date").isin(sorted(days)) if days else F.lit(False)


def _near(batch: Batch, traffic: Traffic) -> _Near | None:
    """What new, changed and deleted events concern; None when there are none."""
    reach = traffic.rules.reach
    fresh = sightings(batch.new_rows(EVENT), traffic).select("actor", "event_date").distinct()
    fresh = batch.keep(fresh)
    left = batch.new_rows(VACATED).where(F.col("target") == EVENT).select("day")
    arrived, vacated = days_of(fresh.select("event_date")), days_of(left)
    if arrived == frozenset() and vacated == frozenset():
        return None
    around = F.sequence(F.date_sub("event_date", reach), F.date_add("event_date", reach))
    pairs = fresh.select("actor", F.explode(around).alias("event_date")).distinct()
    whole = wider(vacated, reach)
    both = None if arrived is None or vacated is None else arrived | vacated
    written = wider(both, reach)
    return _Near(pairs, whole, written, wider(written, reach))
