"""What is out of the ordinary, told by numbers worked out apart; and the life of an alert. No Java."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lakecdp.operations import alerts
from lakecdp.operations.anomalies import Day, Judgement, judge
from lakecdp.operations.monitoring_rules import MonitoringRules
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf

RUN_DATE = date(2026, 10, 31)
LAST = date(2026, 10, 30)  # one day to settle
RULES = """
weeks: 8
min_history: 4
judge_days: 3
settle_days: 1
rows: {severity: fail, deviations: 6, min_change: 0.3}
freshness: {severity: warn, deviations: 6, min_change: 24}
null_rate: {severity: warn, deviations: 6, min_change: 0.05, min_rows: 50}
tables:
  silver.event: {except: [ip]}
  silver.attribute: {rows: {severity: warn}, null_rate: {severity: "off"}, freshness: {severity: "off"}}
"""


def rules(folder: Path, text: str = RULES) -> MonitoringRules:
    (folder / "monitoring.yaml").write_text(text)
    return MonitoringRules.load(Conf(folder))


def midday(day: date, hour: int = 23) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def events(count: dict[date, int] | None = None, until: date = RUN_DATE) -> list[Day]:
    """Ten weeks of events: by weekday, about 1000 on a Monday to 400 on a Sunday."""
    out = []
    for back in range(70):
        day = until - timedelta(days=back)
        rows = 1000 - 100 * day.weekday() + 7 * ((back // 7) % 3)
        rows = (count or {}).get(day, rows)
        if rows:
            out.append(Day("silver.event", "app", day, rows, midday(day), {"city": rows // 10}))
    return out


def found(measures: list[Day], folder: Path, text: str = RULES, sources: tuple = ("app",)) -> dict:
    judged = judge(measures, rules(folder, text), RUN_DATE, sources)
    return {(f.key[2], f.key[3], f.key[4]): f for f in judged.findings.values()}


def test_quiet_days_and_their_weekly_pattern_raise_nothing(tmp_path: Path) -> None:
    assert found(events(), tmp_path) == {}


def test_a_day_with_too_few_rows_is_held_against_the_same_weekday(tmp_path: Path) -> None:
    measures = events({LAST: 300})
    (f,) = found(measures, tmp_path).values()
    history = np.array([m.rows for m in measures if m.day < LAST and m.day.weekday() == 4][:8])
    middle = np.median(history)
    spread = stats.median_abs_deviation(history, scale="normal")
    reach = max(6 * max(spread, np.sqrt(middle)), 0.3 * middle)
    assert f.key == ("silver.event", "app", "rows", "", LAST)
    assert (f.severity, f.value, f.expected) == ("fail", 300, middle)
    assert f.lower == pytest.approx(middle - reach, abs=1e-2)
    assert f.upper == pytest.approx(middle + reach, abs=1e-2)
    assert f.sentence == (
        "silver.event of app: 300 rows on 2026-10-30, where 607 are usual (425 to 789)"
    )
    # Five times as many are as odd; a fifth less is usual, and so is a Sunday's number on a Sunday.
    assert [k[0] for k in found(events({LAST: 3000}), tmp_path)] == ["rows"]
    assert found(events({LAST: 500}), tmp_path) == {}


def test_a_day_without_any_row_is_missed_and_one_odd_day_before_changes_nothing(
    tmp_path: Path,
) -> None:
    odd = {LAST: 0, LAST - timedelta(days=7): 90000, LAST - timedelta(days=21): 0}
    (f,) = found(events(odd), tmp_path).values()
    assert (f.value, f.key[4]) == (0, LAST)
    # The last day is not complete yet, and a day of the week before is judged no more.
    assert found(events({RUN_DATE: 1, LAST - timedelta(days=3): 1}), tmp_path) == {}


def test_little_data_and_little_history_raise_nothing(tmp_path: Path) -> None:
    few = [replace(m, rows=9, nulls={"city": 9 * (m.day == LAST)}) for m in events()]
    assert found([m for m in few if m.day != LAST], tmp_path) == {}
    assert found(few, tmp_path) == {}
    busy = [replace(m, rows=40 if m.day == LAST else 1) for m in events()]
    assert [k[0] for k in found(busy, tmp_path)] == ["rows"]
    least = RULES.replace("min_change: 0.3", "min_change: 0.3, min_rows: 50")
    assert found(busy, tmp_path, least) == {}
    young = [m for m in events({LAST: 1}) if m.day > LAST - timedelta(days=28)]
    assert found(young, tmp_path) == {}
    old_enough = [m for m in events({LAST: 1}) if m.day >= LAST - timedelta(days=28)]
    assert [k[0] for k in found(old_enough, tmp_path)] == ["rows"]


def test_sources_out_of_use_are_not_missed(tmp_path: Path) -> None:
    assert found(events({LAST: 0}), tmp_path, sources=("web",)) == {}


def test_null_rates_by_column(tmp_path: Path) -> None:
    def of(day: date, nulls: dict[str, int]) -> list[Day]:
        return [replace(m, nulls=nulls) if m.day == day else m for m in events()]

    gaps = of(LAST, {"city": 100, "ip": 600, "region": 50, "country": 30})
    (f,) = found(gaps, tmp_path).values()
    # region: 50 of 600 rows, with none before; 30 would be 5 %. city: 100 where 60 are usual.
    assert f.key[3] == "region"
    assert f.value == pytest.approx(50 / 600)
    assert (f.expected, f.upper) == (0, 0.05)
    n, p = 600, 1 / 10
    city = found(of(LAST, {"city": 105}), tmp_path)
    upper = p + 6 * np.sqrt(p * (1 - p) / n)
    assert (city != {}) == (upper < 105 / 600)
    assert "city" in {k[1] for k in found(of(LAST, {"city": 120}), tmp_path)}


def test_freshness_is_of_the_run_date_and_stays_one_alert(tmp_path: Path) -> None:
    stopped = RUN_DATE - timedelta(days=2)
    measures = [m for m in events() if m.day <= stopped]
    off = RULES.replace("severity: fail, deviations: 6, min_change: 0.3", 'severity: "off"')
    (f,) = found(measures, tmp_path, off).values()
    # The newest row is of 23:00 on the 29th, the run date ends 49 hours later; 1 hour is usual.
    assert f.key == ("silver.event", "app", "freshness", "", stopped)
    assert (f.value, f.expected, f.upper) == (49, 1, 25)
    # Where nothing comes on Sundays and Mondays, two days without are nothing on other days either.
    pauses = [m for m in measures if m.day.weekday() not in (6, 0)]
    assert found(pauses, tmp_path, off) == {}
    later = judge(measures, rules(tmp_path, off), RUN_DATE + timedelta(days=1), ["app"])
    assert list(later.findings) == [f.key]


def test_tables_without_a_day_are_compared_by_runs(tmp_path: Path) -> None:
    def runs(last: int | None) -> list[Day]:
        days = [LAST - timedelta(days=7 * n) for n in range(9)]
        counts = [last, *[200] * 8]
        return [
            Day("silver.attribute", "app", d, n, midday(d))
            for d, n in zip(days, counts, strict=True)
            if n
        ]

    assert found(runs(200), tmp_path) == {}
    assert found(runs(None), tmp_path) == {}, "a day on which nothing ran is not missed"
    assert [k[0] for k in found(runs(20), tmp_path)] == ["rows"]


def test_alerts_open_once_follow_the_value_close_and_open_again(tmp_path: Path) -> None:
    r, day = rules(tmp_path), timedelta(days=1)

    def after(before: list, count: dict[date, int], run_date: date) -> list:
        judged = judge(events(count, run_date), r, run_date, ["app"])
        return alerts.brought_up(before, judged, run_date)

    (opened,) = after([], {LAST: 300}, RUN_DATE)
    assert (opened.state, opened.opened_on, opened.told) == ("open", RUN_DATE, None)
    (same,) = after([opened], {LAST: 300}, RUN_DATE)
    assert same == opened
    (lower,) = after([opened], {LAST: 200}, RUN_DATE)
    assert (lower.opened_on, int(lower.value)) == (RUN_DATE, 200)
    # Late records fill the day.
    told = replace(opened, told="open")
    (closed,) = after([told], {}, RUN_DATE + day)
    assert (closed.state, closed.closed_because) == ("closed", "resolved")
    assert closed.closed_on == RUN_DATE + day
    assert closed.untold
    (again,) = after([closed], {LAST: 300}, RUN_DATE + day)
    assert (again.state, again.closed_on, again.opened_on) == ("open", None, RUN_DATE + day)
    # Nobody was told of it: nobody is told that it closed.
    (silent,) = after([opened], {}, RUN_DATE)
    assert not silent.untold
    # Three days later it is not judged any more, and a run for an earlier day says nothing of it.
    (expired,) = after([opened], {LAST: 300}, RUN_DATE + 3 * day)
    assert expired.closed_because == "expired"
    assert after([opened], {}, RUN_DATE - day) == [opened]
    off = alerts.brought_up([opened], Judgement(days=(LAST,)), RUN_DATE)
    assert off[0].closed_because == "off"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("silver.event:", "silver.evnt:", 10, "did you mean `silver.event`"),
        ("[ip]", "[event_at]", 10, "no column `event_at` that may be empty; it has owner_node"),
        ("severity: fail", "severity: stop", 6, "'fail', 'warn' or 'off'"),
        ("deviations: 6, min_change: 24", "deviation: 6", 7, "did you mean `deviations`"),
        ("min_history: 4", "min_history: 9", 3, "never 9 days in 8 weeks"),
        ("silver.attribute:", "operations.run:", 11, "no table `operations.run` can be watched"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    assert old in RULES
    with pytest.raises(ConfigError, match=says) as e:
        rules(tmp_path, RULES.replace(old, new))
    assert e.value.line == line


def test_the_shipped_rules_are_right() -> None:
    shipped = MonitoringRules.load(Conf())
    assert {"silver.event", "silver.order_line", "silver.attribute"} <= set(shipped.tables)
    assert shipped.tables["silver.product"].freshness.severity == "off"
    assert shipped.tables["silver.product"].null_rate.severity == "warn"
