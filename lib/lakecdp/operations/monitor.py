"""Measure what was written, judge it, keep the alerts, and tell whom it concerns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, date, timedelta
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.bronze.mapping import load_sources
from lakecdp.operations import alerts as a
from lakecdp.operations.alerts import Alert
from lakecdp.operations.anomalies import Day, judge
from lakecdp.operations.metrics import KEY, added, day_of, measured
from lakecdp.operations.monitoring_rules import MonitoringRules
from lakecdp.platform import webhook
from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job
from lakecdp.platform.settings import AlertSettings
from lakecdp.silver.repair_rules import RepairRules

TABLE_DAY, ALERT, VACATED = "operations.table_day", "operations.alert", "silver.vacated"
OUTPUTS = (TABLE_DAY, ALERT)
DAYS = 400
"""So many days of a table are named one by one, so that only their files are read."""
Webhook = tuple[str, AlertSettings]


@dataclass(frozen=True)
class Plan:
    """What a run is to measure and judge.

    Attributes:
        rules: conf/monitoring.yaml.
        repairs: conf/repairs.yaml, whose rules are counted.
        sources: the sources in use.
    """

    rules: MonitoringRules
    repairs: RepairRules
    sources: tuple[str, ...]

    @classmethod
    def of(cls, job: Job) -> Plan:
        """The plan of a job.

        Raises:
            ConfigError: a rule or mapping is wrong.
        """
        sources = load_sources(job.conf, job.settings)
        repairs = RepairRules.load(job.conf, sources)
        names = tuple(s.mapping.source for s in sources)
        return cls(MonitoringRules.load(job.conf), repairs, names)

    @property
    def inputs(self) -> list[str]:
        """Tables that are read."""
        return [*self.rules.tables, VACATED]

    @property
    def fingerprint(self) -> str:
        """Changes when something else would be found out of the ordinary."""
        return f"{self.rules.fingerprint} {','.join(self.sources)}"

    def counted(self, table: str) -> list[tuple[str, str]]:
        """Kind and name of the rules that are counted in a table."""
        if not table.startswith("silver."):
            return []
        return self.repairs.names(table.removeprefix("silver."))


def measure(batch: Batch, plan: Plan) -> DataFrame | None:
    """Bring operations.table_day up to date for the days that new and deleted rows touch.

    Returns:
        the rows written, and those of days that have no row any more; None where nothing is new.
    """
    changed = [t for t in plan.rules.tables if batch.since.seen.get(t) != _version(batch, t)]
    days = _touched(batch, [t for t in changed if day_of(contracts.table(t))])
    parts = [_of_days(batch, t, days[t], plan) for t in days if days[t] != []]
    undated = [t for t in changed if day_of(contracts.table(t)) is None and batch.published(t)]
    before = batch.read(TABLE_DAY)
    if undated:
        new = [measured(_new(batch, t), t, batch.run_date, plan.counted(t)) for t in undated]
        parts.append(added(reduce(DataFrame.unionByName, new), before))
    if not parts:
        return None
    now = reduce(DataFrame.unionByName, parts)
    rows = batch.keep(now.unionByName(_gone(before, now, days)))
    batch.upsert(TABLE_DAY, rows, delete_when="s.rows = 0")
    return rows


def _version(batch: Batch, table: str) -> int:
    return batch.only.consumed.seen.get(table, 0)


def _new(batch: Batch, table: str) -> DataFrame:
    """Rows of a table written since this job last ran; all, where it is watched only since now."""
    rows = batch.read(table)
    known = table in batch.since.seen
    return rows.where(F.col("_batch") > batch.since.mark) if known else rows


def _touched(batch: Batch, tables: Sequence[str]) -> dict[str, list[date] | None]:
    """Days with new or vacated rows by table; None: too many to name."""
    tables = [t for t in tables if batch.published(t)]
    if not tables:
        return {}
    parts = []
    for t in tables:
        day = F.col(str(day_of(contracts.table(t)))).alias("day")
        parts.append(_new(batch, t).select(F.lit(t).alias("target"), day))
    left = _new(batch, VACATED).where(F.col("target").isin(list(tables)))
    parts.append(left.select("target", "day"))
    rows = reduce(DataFrame.union, parts).where("day IS NOT NULL").distinct().collect()
    found: dict[str, list[date] | None] = {
        t: sorted(r["day"] for r in rows if r["target"] == t) for t in tables
    }
    return {t: d if d is not None and len(d) <= DAYS else None for t, d in found.items()}


def _of_days(batch: Batch, table: str, days: list[date] | None, plan: Plan) -> DataFrame:
    rows, day = batch.read(table), str(day_of(contracts.table(table)))
    if days is not None:
        rows = rows.where(F.col(day).isin(days))
    return measured(rows, table, batch.run_date, plan.counted(table))


def _gone(before: DataFrame, now: DataFrame, days: Mapping[str, list[date] | None]) -> DataFrame:
    """Days that had rows before and have none now."""
    concerned = F.lit(False)
    for table, some in days.items():
        mine = F.col("table_name") == table
        concerned = concerned | (mine if some is None else mine & F.col("day").isin(some))
    left = before.where(concerned).join(now.select(*KEY), list(KEY), "left_anti")
    return left.withColumn("rows", F.lit(0).cast("bigint")).select(*now.columns)


def watch(batch: Batch, plan: Plan, written: DataFrame | None, hook: Webhook | None) -> list[Alert]:
    """Judge the last days, and bring operations.alert up to date.

    Args:
        batch: the batch.
        plan: what is judged.
        written: from `measure`.
        hook: whom alerts are told, or None.

    Returns:
        the open alerts.
    """
    rows = batch.read(TABLE_DAY)
    if written is not None:
        new = written.where("rows > 0").withColumn("_batch", F.lit(batch.seq).cast("bigint"))
        rows = rows.join(written.select(*KEY), list(KEY), "left_anti").unionByName(new)
    first = batch.run_date - timedelta(days=plan.rules.look_back)
    measures = [_day(r) for r in rows.where(F.col("day") >= F.lit(first)).collect()]
    judged = judge(measures, plan.rules, batch.run_date, plan.sources)
    before = known(batch.read(ALERT), first)
    now = _tell(batch, a.brought_up(before, judged, batch.run_date), hook)
    changed = [x for x in now if x not in before]
    if changed:
        columns = [f"`{c.name}` {c.type}" for c in contracts.table(ALERT).columns]
        frame = batch.spark.createDataFrame([astuple(x) for x in changed], ", ".join(columns))
        batch.upsert(ALERT, frame)
    return [x for x in now if x.state == "open"]


def known(rows: DataFrame, since: date | None = None) -> list[Alert]:
    """Alerts that are open, those that the webhook believes to be, and those of the days since a day."""
    wanted = (F.col("state") == "open") | (F.col("told") == "open")
    if since is not None:
        wanted = wanted | (F.col("day") >= F.lit(since))
    return [a.from_row(_utc(r.asDict())) for r in rows.where(wanted).collect()]


def _utc(row: dict[str, Any]) -> dict[str, Any]:
    """The same with times that say they are UTC; Spark's, in a session of UTC, do not."""
    return {k: v.replace(tzinfo=UTC) if hasattr(v, "tzinfo") else v for k, v in row.items()}


def _day(row: Row) -> Day:
    found = _utc(row.asDict())
    nulls = {n["name"]: n["rows"] for n in found["nulls"] or []}
    return Day(
        found["table_name"], found["source"], found["day"], found["rows"], found["newest_at"], nulls
    )


def _tell(batch: Batch, alerts: list[Alert], hook: Webhook | None) -> list[Alert]:
    """Tell the webhook what it does not know yet; that it cannot be told is kept, and no failure."""
    news = [x for x in alerts if x.untold]
    if hook is None or not news:
        return alerts
    url, settings = hook
    body = {
        "version": 1,
        "run_date": batch.run_date.isoformat(),
        "alerts": [x.payload() for x in news],
    }
    failed = webhook.post(
        url,
        body,
        tries=settings.tries,
        timeout=settings.timeout_seconds,
        wait=settings.wait_seconds,
    )
    marked = {x.key: x for x in a.told(news, batch.started_at, failed)}
    return [marked.get(x.key, x) for x in alerts]
