"""Bring coverage, tracking and channels up to date for what has arrived since the last run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.bronze.mapping import Source, load_sources
from lakecdp.measurement import coverage, tracking
from lakecdp.measurement.channels import ChannelRules, channel_rows
from lakecdp.measurement.plans import Plan, load_plans
from lakecdp.platform.batch import Batch
from lakecdp.platform.lake import Lake
from lakecdp.platform.part import Part, Unit
from lakecdp.platform.settings import Conf, Settings
from lakecdp.silver.assemble import differs
from lakecdp.silver.canonical import prepared

EVENT, VACATED, TOTAL = "silver.event", "silver.vacated", "silver.control_total"
FILE, STREAM, ORDER = "gold.coverage_file", "gold.coverage_stream", "gold.coverage_order"
OBSERVED, VIOLATION, PLAN = (
    "gold.tracking_observed",
    "gold.tracking_violation",
    "gold.tracking_plan",
)
COVERAGE, CHANNEL = "gold.coverage", "gold.channel"
INPUTS = (EVENT, VACATED, TOTAL)
OUTPUTS = (FILE, STREAM, ORDER, OBSERVED, VIOLATION, PLAN, COVERAGE, CHANNEL)
LAKE = "lake"
"""The part of the batch that reads tables which all sources share."""
VERSION = "1"
FEW_DAYS = 400


@dataclass(frozen=True)
class Measured:
    """What is measured: sources, tracking plans and channels, all checked."""

    sources: Sequence[Source]
    plans: Sequence[Plan]
    channels: ChannelRules

    @classmethod
    def load(cls, conf: Conf, settings: Settings, lake: Lake) -> Measured:
        """The rules in force.

        Raises:
            ConfigError: a mapping, a plan or conf/channels.yaml is wrong.
        """
        sources = load_sources(conf, settings)
        found = cls(sources, load_plans(conf, sources), ChannelRules.load(conf))
        for plan in found.plans:
            plan.check(lake.empty_of(plan.source.mapping.bronze))
        return found

    def controlled(self, kind: str) -> list[Source]:
        """Sources with controls of a kind: files, sequence or orders."""
        return [
            s
            for s in self.sources
            if s.mapping.controls is not None and getattr(s.mapping.controls, kind) is not None
        ]

    def plans_of(self, source: Source) -> list[Plan]:
        """The tracking plans of a source."""
        return [p for p in self.plans if p.source is source]

    def units(self) -> list[Unit]:
        """The lake, and the sources whose records are looked at, as parts of the batch."""
        parts = []
        for s in self.sources:
            plans, controls = self.plans_of(s), s.mapping.controls
            if not plans and controls is None:
                continue
            stated = controls.model_dump_json() if controls else ""
            rules = [s.mapping.fingerprint(), stated, *[p.rules.fingerprint for p in plans]]
            parts.append(Unit(s.mapping.source, [s.mapping.bronze], OUTPUTS, _hash(rules)))
        named = [f"{s.mapping.source}:{s.mapping.channel}" for s in self.sources]
        kinds = [
            f"{k}:{s.mapping.source}"
            for k in ("files", "sequence", "orders")
            for s in self.controlled(k)
        ]
        planned = [p.rules.plan for p in self.plans]
        rules = [self.channels.model_dump_json(), *named, *kinds, *planned]
        return [*parts, Unit(LAKE, INPUTS, OUTPUTS, _hash(rules))]


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join([VERSION, *parts]).encode()).hexdigest()[:16]


@dataclass
class _Touched:
    """Days of which coverage is computed anew, by basis; None: all."""

    days: dict[str, set[date] | None] = field(default_factory=dict)

    def add(self, basis: str, days: Iterable[date] | None) -> None:
        known = self.days.setdefault(basis, set())
        self.days[basis] = None if days is None or known is None else known | set(days)


class Measurement:
    """One batch of the job; see `measure`."""

    def __init__(self, batch: Batch, lake: Lake, rules: Measured):
        self._batch = batch
        self._lake = lake
        self._rules = rules
        self._parts = {p.unit.name: p for p in batch.parts}
        self._touched = _Touched()

    @property
    def _shared(self) -> Part:
        return self._parts[LAKE]

    def _at_work(self, sources: Iterable[Source]) -> list[Source]:
        return [s for s in sources if not self._parts[s.mapping.source].nothing_new]

    def _full(self, sources: Iterable[Source]) -> list[str]:
        names = [s.mapping.source for s in sources]
        return [n for n in names if self._parts[n].full]

    def _records(self, source: Source, *also: str) -> DataFrame:
        part = self._parts[source.mapping.source]
        return prepared(self._batch.new_rows(source.mapping.bronze, part), source, *also)

    def _write(self, table: str, rows: DataFrame, old: DataFrame) -> int:
        """Write the rows that differ and delete those of `old` that are no more; returns how many."""
        key = list(contracts.table(table).key)
        rows = self._batch.hold(rows)
        gone = old.select(*key).join(rows.select(*key), key, "left_anti")
        every = rows.withColumn("_gone", F.lit(False)).unionByName(
            gone.withColumn("_gone", F.lit(True)), allowMissingColumns=True
        )
        counts = self._batch.upsert(table, every, update_when=differs(table), delete_when="s._gone")
        return counts.written + counts.deleted

    def forget(self) -> None:
        """Delete what is known of sources and plans that are no longer measured."""
        if not self._shared.full:
            return
        kinds = {FILE: "files", STREAM: "sequence", ORDER: "orders"}
        for table, kind in kinds.items():
            self._keep(table, "source", [s.mapping.source for s in self._rules.controlled(kind)])
        for table in (OBSERVED, VIOLATION, PLAN):
            self._keep(table, "plan", [p.rules.plan for p in self._rules.plans])

    def _keep(self, table: str, column: str, names: Sequence[str]) -> None:
        if self._batch.published(table):
            others = self._batch.read(table).where(~F.col(column).isin(list(names)))
            self._batch.delete_keys(table, others, [column])

    def files(self) -> None:
        """Files against their control totals."""
        sources = self._rules.controlled("files")
        work = self._at_work(sources)
        if not sources or (not work and self._shared.nothing_new):
            return
        full = self._full(work)
        old = self._batch.read(FILE)
        state = ["source", "channel", "file", "arrived", "arrived_amount", "last_day"]
        known = old.where("arrived > 0").where(~F.col("source").isin(full)).select(*state)
        fresh = [
            coverage.arrived_files(self._records(s), s.mapping, s.mapping.controls.files)
            for s in work
            if s.mapping.controls and s.mapping.controls.files
        ]
        new = self._batch.hold(_union(fresh, known))
        names = [s.mapping.source for s in sources]
        totals = self._batch.read(TOTAL).where(F.col("of_source").isin(names))
        totals = totals.withColumn("source", F.col("of_source"))
        if not (full or self._shared.full):
            keys = self._files_concerned(new, totals, old)
            known, old = _of(known, keys), _of(old, keys)
            totals = _of(totals, keys)
        arrived = new.unionByName(known.join(new, ["source", "file"], "left_anti"))
        channels = self._batch.spark.createDataFrame(
            [(s.mapping.source, s.mapping.channel) for s in sources],
            "source string, _channel string",
        )
        rows = self._batch.hold(coverage.file_rows(arrived, totals, channels))
        self._touched.add("control_totals", _days(rows.select("day").union(old.select("day"))))
        self._write(FILE, rows, old)

    def _files_concerned(self, new: DataFrame, totals: DataFrame, old: DataFrame) -> DataFrame:
        """Files that arrived, whose control total is new, or has gone."""
        key = ["source", "file"]
        stated = self._batch.new_rows(TOTAL, self._shared).select(
            F.col("of_source").alias("source"), "file"
        )
        gone = old.where("expected IS NOT NULL").select(*key).join(totals, key, "left_anti")
        every = new.select(*key).unionByName(stated).unionByName(gone)
        return self._batch.hold(every.distinct())

    def sequences(self) -> None:
        """The sequence numbers that have arrived."""
        work = self._at_work(self._rules.controlled("sequence"))
        if not work:
            return
        full, old = self._full(work), self._batch.read(STREAM)
        found = [
            (s, coverage.stream_numbers(self._records(s), s.mapping, s.mapping.controls.sequence))
            for s in work
            if s.mapping.controls and s.mapping.controls.sequence
        ]
        fresh = self._batch.hold(_union([rows for _, rows in found], old))
        for s, _ in found:
            controls = s.mapping.controls
            assert controls is not None
            assert controls.sequence is not None
            mine = fresh.where(F.col("source") == s.mapping.source)
            days = None if full else _days(mine.select("day"))
            self._touched.add("sequence", _until(days, controls.sequence.within_days))
        before = _of_days(old, _days(fresh.select("day"))).where(~F.col("source").isin(full))
        rows = coverage.more_numbers(fresh, before)
        self._write(STREAM, rows, old.where(F.col("source").isin(full)))

    def orders(self) -> None:
        """Orders of the back office, and whether events tell of them."""
        for source in self._rules.controlled("orders"):
            controls = source.mapping.controls
            part = self._parts[source.mapping.source]
            if controls is None or controls.orders is None:
                continue
            if part.nothing_new and self._shared.nothing_new:
                continue
            apart = controls.orders.within_days
            old = self._batch.read(ORDER).where(F.col("source") == source.mapping.source)
            stated = coverage.stated_orders(self._records(source), source.mapping, controls.orders)
            every = part.full or self._shared.full
            if not every:
                days = _around(self._event_days(), apart)
                again = old.join(stated, "order_id", "left_semi")
                old = self._batch.hold(_of_days(old, days).unionByName(again).distinct())
            known = old.limit(0) if part.full else old
            columns = ["source", "order_id", "day", "channel", "event"]
            orders = coverage.first_stated(
                stated.select(*columns).unionByName(known.select(*columns))
            )
            orders = self._batch.hold(orders)
            days = None if every else _days(orders.select("day"))
            events = _of_days(self._batch.read(EVENT), _around(days, apart), "event_date")
            events = events.where(F.col("event_name") == controls.orders.event)
            rows = self._batch.hold(coverage.order_rows(orders, events, apart))
            changed = rows.select("day").union(old.select("day"))
            self._touched.add("orders", None if every else _days(changed))
            self._write(ORDER, rows, old)

    def _event_days(self) -> set[date] | None:
        """Days with new, changed or deleted events; None: all."""
        if self._shared.full:
            return None
        days = self._batch.new_rows(EVENT, self._shared).select(F.col("event_date").alias("day"))
        left = self._batch.new_rows(VACATED, self._shared).where(F.col("target") == EVENT)
        return _days(days.union(left.select("day")))

    def plans(self) -> None:
        """What tracked sources send, against their plans."""
        work = [
            p for p in self._rules.plans if not self._parts[p.source.mapping.source].nothing_new
        ]
        if not work:
            return
        names = [p.rules.plan for p in work]
        full = [p.rules.plan for p in work if self._parts[p.source.mapping.source].full]
        old = self._batch.read(OBSERVED)
        found = [tracking.observed(self._records(p.source, "_raw"), p.rules) for p in work]
        fresh = self._batch.hold(reduce(DataFrame.unionByName, found))
        days = None if full else _days(fresh.select("day"))
        before = _of_days(old, days).where(~F.col("plan").isin(full))
        replaced = old.where(F.col("plan").isin(full))
        self._write(OBSERVED, tracking.added(fresh, before), replaced)
        plan = self._batch.hold(tracking.planned(fresh, [p.rules for p in work]))
        mine = F.col("plan").isin(names)
        seen = _of_days(self._lake.read(OBSERVED), days).where(mine)
        judged = _of_days(self._batch.read(VIOLATION), days).where(mine)
        self._write(VIOLATION, tracking.violations(seen, plan), judged)
        stated = self._batch.read(PLAN).where(mine)
        known = stated.where(~F.col("plan").isin(full))
        self._write(PLAN, tracking.plan_rows(plan, fresh, known), stated)

    def totals(self) -> None:
        """Coverage of the days concerned, and the channels."""
        self._touched.add("none", self._event_days())
        if self._shared.full:
            for basis in ("control_totals", "sequence", "orders"):
                self._touched.add(basis, None)
        rows, old, published = [], [], self._batch.read(COVERAGE)
        for basis, days in self._touched.days.items():
            if days is None or days:
                rows += self._coverage(basis, days)
                old.append(_of_days(published, days).where(F.col("basis") == basis))
        if old:
            self._write(COVERAGE, _union(rows, published), reduce(DataFrame.unionByName, old))
        landed = {
            s.mapping.source for s in self._rules.sources if self._batch.published(s.mapping.bronze)
        }
        channels = channel_rows(
            self._rules.channels, self._rules.sources, landed, self._lake.read(COVERAGE)
        )
        self._write(CHANNEL, channels, self._batch.read(CHANNEL))

    def _coverage(self, basis: str, days: set[date] | None) -> list[DataFrame]:
        if basis == "none":
            return [coverage.by_nothing(_of_days(self._batch.read(EVENT), days, "event_date"))]
        if basis == "control_totals":
            return [coverage.by_files(_of_days(self._lake.read(FILE), days))]
        if basis == "orders":
            return [coverage.by_orders(_of_days(self._lake.read(ORDER), days))]
        found = []
        for source in self._rules.controlled("sequence"):
            controls = source.mapping.controls
            assert controls is not None
            assert controls.sequence is not None
            needed = _since(days, controls.sequence.within_days)
            streams = _of_days(self._lake.read(STREAM), needed)
            streams = streams.where(F.col("source") == source.mapping.source)
            found.append(_of_days(coverage.by_sequence(streams, controls.sequence), days))
        return found


def measure(batch: Batch, lake: Lake, rules: Measured) -> None:
    """Bring all tables of the job up to date.

    Args:
        batch: the batch, with a part for each of `Measured.units`.
        lake: the lake, to read what the batch has written.
        rules: what is measured.
    """
    work = Measurement(batch, lake, rules)
    work.forget()
    work.files()
    work.sequences()
    work.orders()
    work.plans()
    work.totals()


def _union(frames: Sequence[DataFrame], like: DataFrame) -> DataFrame:
    """Rows of all frames; none, with the columns of `like`, where there is no frame."""
    return reduce(DataFrame.unionByName, frames) if frames else like.limit(0)


def _of(rows: DataFrame, keys: DataFrame) -> DataFrame:
    return rows.join(F.broadcast(keys), ["source", "file"], "left_semi")


def _days(rows: DataFrame) -> set[date] | None:
    """The days of a frame; None when they are so many that naming them is of no use."""
    found = [r[0] for r in rows.distinct().limit(FEW_DAYS + 1).collect() if r[0] is not None]
    return set(found) if len(found) <= FEW_DAYS else None


def _of_days(rows: DataFrame, days: set[date] | None, column: str = "day") -> DataFrame:
    """Rows of some days, so that only their files are read."""
    return rows if days is None else rows.where(F.col(column).isin(sorted(days)))


def _moved(days: set[date] | None, steps: Iterable[int]) -> set[date] | None:
    every = list(steps)
    return None if days is None else {d + timedelta(days=n) for d in days for n in every}


def _until(days: set[date] | None, after: int) -> set[date] | None:
    return _moved(days, range(after + 1))


def _since(days: set[date] | None, before: int) -> set[date] | None:
    return _moved(days, range(-before, 1))


def _around(days: set[date] | None, apart: int) -> set[date] | None:
    return _moved(days, range(-apart, apart + 1))
