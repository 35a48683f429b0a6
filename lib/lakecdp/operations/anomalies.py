"""What of the measures is out of the ordinary: pure functions over the rows of operations.table_day.

Expected is the median of the same weekday of some weeks before, and the usual deviation is 1.4826 times
the median absolute deviation from it, which for normal noise is the standard deviation and which single
odd days do not move (Hampel 1974; Leys et al. 2013, doi 10.1016/j.jesp.2013.03.013). Counts vary by their
square root at least, and shares by that of p (1 - p) / n, so that little data raises no alarm.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import median

from lakecdp.operations.metrics import day_of, time_of
from lakecdp.operations.monitoring_rules import (
    METRICS,
    Limit,
    MonitoringRules,
    Watch,
    watched_columns,
)

MAD_OF_NORMAL = 1.4826
WEEK = timedelta(days=7)
Key = tuple[str, str, str, str, date]
"""Table, source, metric, column and day: the key of operations.alert."""


@dataclass(frozen=True)
class Day:
    """One row of operations.table_day."""

    table: str
    source: str
    day: date
    rows: int
    newest_at: datetime | None = None
    nulls: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One measure that is out of the ordinary.

    Attributes:
        key: see `Key`.
        severity: fail or warn.
        value: rows, hours or share.
        expected: median of the days compared with.
        lower: where the usual begins; None: nowhere.
        upper: where it ends; None: nowhere.
        sentence: the same in words.
    """

    key: Key
    severity: str
    value: float
    expected: float
    lower: float | None
    upper: float | None
    sentence: str


@dataclass
class Judgement:
    """What was looked at, and what of it is out of the ordinary.

    Attributes:
        findings: by key.
        watched: table, source, metric and column that were judged or could have been.
        days: the days judged; freshness is judged as of the run date whatever its day.
    """

    findings: dict[Key, Finding] = field(default_factory=dict)
    watched: set[tuple[str, str, str, str]] = field(default_factory=set)
    days: tuple[date, ...] = ()


def judge(
    measures: Iterable[Day], rules: MonitoringRules, run_date: date, sources: Sequence[str]
) -> Judgement:
    """Hold the last days against the same weekday of the weeks before.

    Args:
        measures: the measures of `rules.look_back` days up to the run date, and whatever more.
        rules: the rules.
        run_date: the date that the run stands for.
        sources: the sources in use; what others once delivered is not missed.
    """
    last = run_date - timedelta(days=rules.settle_days)
    days = tuple(last - timedelta(days=n) for n in range(rules.judge_days))
    out = Judgement(days=days)
    series: dict[tuple[str, str], dict[date, Day]] = defaultdict(dict)
    for m in measures:
        if m.table in rules.tables and m.day <= run_date and m.source in ("", *sources):
            series[m.table, m.source][m.day] = m
    for (table, source), by_day in sorted(series.items()):
        one = _Series(rules, rules.tables[table], source, by_day, run_date)
        out.watched |= {(table, source, m, c) for m, c in one.watched()}
        for finding in one.findings(days):
            out.findings[finding.key] = finding
    return out


@dataclass(frozen=True)
class _Series:
    """The days of one table and source."""

    rules: MonitoringRules
    watch: Watch
    source: str
    by_day: Mapping[date, Day]
    run_date: date

    @property
    def dated(self) -> bool:
        """Whether a day without rows is a day with none, and not one on which nothing ran."""
        return day_of(self.watch.contract) is not None

    @property
    def place(self) -> str:
        return f"{self.watch.name} of {self.source}" if self.source else self.watch.name

    def watched(self) -> Iterator[tuple[str, str]]:
        """Metric and column of all that is not switched off."""
        for metric in METRICS:
            if self.watch.limit(metric).severity != "off":
                yield from ((metric, c) for c in (self.columns if metric == "null_rate" else [""]))

    @property
    def columns(self) -> list[str]:
        return [c for c in watched_columns(self.watch.contract) if c not in self.watch.leave_out]

    def findings(self, days: Sequence[date]) -> Iterator[Finding]:
        metrics = {m for m, _ in self.watched()}
        for day in days:
            if "rows" in metrics:
                yield from self._rows(day)
            if "null_rate" in metrics:
                yield from self._null_rates(day)
        if "freshness" in metrics and time_of(self.watch.contract) is not None:
            yield from self._freshness()

    def _weeks_before(self, day: date) -> list[date]:
        first = min(self.by_day)
        before = [day - WEEK * n for n in range(1, self.rules.weeks + 1)]
        there = [d for d in before if d >= first]
        return there if self.dated else [d for d in there if d in self.by_day]

    def _count(self, day: date) -> int:
        return self.by_day[day].rows if day in self.by_day else 0

    def _rows(self, day: date) -> Iterator[Finding]:
        before = self._weeks_before(day)
        if len(before) < self.rules.min_history or not (self.dated or day in self.by_day):
            return
        limit, value = self.watch.rows, self._count(day)
        expected, spread = _usual([self._count(d) for d in before])
        if max(value, expected) < limit.min_rows:
            return
        noise = max(spread, math.sqrt(expected))
        reach = max(limit.deviations * noise, limit.min_change * expected)
        lower, upper = max(expected - reach, 0.0), expected + reach
        if not lower <= value <= upper:
            said = (
                f"{self.place}: {value:,} rows on {day}, where {expected:,.0f} are usual "
                f"({lower:,.0f} to {upper:,.0f})"
            )
            yield self._finding("rows", "", day, limit, (value, expected, lower, upper), said)

    def _null_rates(self, day: date) -> Iterator[Finding]:
        limit = self.watch.null_rate
        if self._count(day) < limit.min_rows:
            return
        before = [d for d in self._weeks_before(day) if self._count(d) >= limit.min_rows]
        if len(before) < self.rules.min_history:
            return
        for column in self.columns:
            value = self._rate(column, day)
            expected, spread = _usual([self._rate(column, d) for d in before])
            noise = max(spread, math.sqrt(expected * (1 - expected) / self._count(day)))
            upper = expected + max(limit.deviations * noise, limit.min_change)
            if value > upper:
                said = (
                    f"{self.place}: `{column}` is missing in {value:.1%} of the rows of {day}, where "
                    f"{expected:.1%} are usual (up to {min(upper, 1):.1%})"
                )
                found = (value, expected, None, upper)
                yield self._finding("null_rate", column, day, limit, found, said)

    def _rate(self, column: str, day: date) -> float:
        return self.by_day[day].nulls.get(column, 0) / self.by_day[day].rows

    def _freshness(self) -> Iterator[Finding]:
        before = self._weeks_before(self.run_date) if self.dated else self._runs_before()
        ages = [a for d in before if (a := self._age(d)) is not None]
        value, limit = self._age(self.run_date), self.watch.freshness
        if value is None or len(ages) < self.rules.min_history:
            return
        expected, spread = _usual(ages)
        # Days without a row are common where rows are few: nineteen days in twenty say how long.
        every = [self.run_date - timedelta(days=n) for n in range(1, 7 * self.rules.weeks + 1)]
        gap = _most([a for d in every if (a := self._age(d)) is not None] or ages)
        reach = max(limit.deviations * spread, limit.min_change)
        upper = max(expected + reach, gap + limit.min_change)
        if value > upper:
            newest = _end(self.run_date) - timedelta(hours=value)
            said = (
                f"{self.place}: the newest row at the end of {self.run_date} is {value:,.0f} hours old, "
                f"where {expected:,.0f} are usual (up to {upper:,.0f})"
            )
            found = (value, expected, None, upper)
            yield self._finding("freshness", "", newest.date(), limit, found, said)

    def _runs_before(self) -> list[date]:
        return [d for d in self.by_day if d < self.run_date]

    def _age(self, day: date) -> float | None:
        """Hours from the newest row of the days up to one to its end."""
        end = _end(day)
        times = [
            m.newest_at for d, m in self.by_day.items() if d <= day and m.newest_at is not None
        ]
        known = [t for t in times if t <= end]
        return (end - max(known)).total_seconds() / 3600 if known else None

    def _finding(
        self,
        metric: str,
        column: str,
        day: date,
        limit: Limit,
        found: tuple[float, float, float | None, float | None],
        said: str,
    ) -> Finding:
        key = (self.watch.name, self.source, metric, column, day)
        return Finding(key, limit.severity, *found, said)


def _usual(values: Sequence[float]) -> tuple[float, float]:
    """Median, and the usual deviation from it."""
    middle = median(values)
    return middle, MAD_OF_NORMAL * median(abs(v - middle) for v in values)


def _most(values: Sequence[float]) -> float:
    """The quantile 0.95; between two values the lower."""
    return sorted(values)[int(0.95 * (len(values) - 1))]


def _end(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
