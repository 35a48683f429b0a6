"""Alerts: opened by what is out of the ordinary, closed when it no longer is, told to a webhook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lakecdp.operations.anomalies import Finding, Judgement, Key

SHOWN = 5


@dataclass(frozen=True)
class Alert:
    """One row of operations.alert; see its contract."""

    table_name: str
    source: str
    metric: str
    column_name: str
    day: date
    severity: str
    state: str
    value: Decimal
    expected: Decimal
    lower: Decimal | None
    upper: Decimal | None
    sentence: str
    opened_on: date
    closed_on: date | None = None
    closed_because: str | None = None
    told: str | None = None
    told_at: datetime | None = None
    not_told: str | None = None

    @property
    def key(self) -> Key:
        """See `Key`."""
        return self.table_name, self.source, self.metric, self.column_name, self.day

    @property
    def untold(self) -> bool:
        """Whether the webhook knows less than we do; what was never told open is not told closed."""
        return self.told != self.state and not (self.told is None and self.state == "closed")

    def payload(self) -> dict[str, Any]:
        """As the webhook is told it: no values of rows, so nothing personal."""
        return {
            "table": self.table_name,
            "source": self.source,
            "metric": self.metric,
            "column": self.column_name,
            "day": self.day.isoformat(),
            "severity": self.severity,
            "state": self.state,
            "value": float(self.value),
            "expected": float(self.expected),
            "lower": None if self.lower is None else float(self.lower),
            "upper": None if self.upper is None else float(self.upper),
            "sentence": self.sentence,
            "opened_on": self.opened_on.isoformat(),
            "closed_because": self.closed_because,
        }


def brought_up(before: Iterable[Alert], judged: Judgement, run_date: date) -> list[Alert]:
    """All alerts as they are after a judgement.

    Args:
        before: the alerts there are.
        judged: what was judged, and found.
        run_date: the date that the run stands for.

    Returns:
        those there were, and new ones; in order of key.
    """
    alerts = {a.key: a for a in before}
    for key, finding in judged.findings.items():
        alerts[key] = _opened(alerts.get(key), finding, run_date)
    for key, alert in alerts.items():
        if alert.state == "open" and key not in judged.findings:
            why = _closed_because(alert, judged)
            if why is not None:
                alerts[key] = replace(alert, state="closed", closed_on=run_date, closed_because=why)
    return [alerts[k] for k in sorted(alerts)]


def _opened(known: Alert | None, f: Finding, run_date: date) -> Alert:
    fresh = Alert(
        *f.key,
        f.severity,
        "open",
        _decimal(f.value),
        _decimal(f.expected),
        None if f.lower is None else _decimal(f.lower),
        None if f.upper is None else _decimal(f.upper),
        f.sentence,
        run_date,
    )
    if known is None:
        return fresh
    opened = known.opened_on if known.state == "open" else run_date
    return replace(
        fresh,
        opened_on=opened,
        told=known.told,
        told_at=known.told_at,
        not_told=known.not_told,
    )


def _closed_because(alert: Alert, judged: Judgement) -> str | None:
    if alert.key[:4] not in judged.watched:
        return "off"
    if alert.metric == "freshness" or alert.day in judged.days:
        return "resolved"
    # A run for an earlier date says nothing of what came after it.
    return "expired" if alert.day < min(judged.days) else None


def _decimal(value: float) -> Decimal:
    return Decimal(value).quantize(Decimal("0.000001"))


def told(alerts: Sequence[Alert], at: datetime, failed: str | None) -> list[Alert]:
    """The same alerts with what became of telling the webhook.

    Args:
        alerts: those it was told.
        at: when.
        failed: why it could not be told; None: it was.
    """
    if failed is not None:
        return [replace(a, not_told=failed) for a in alerts]
    return [replace(a, told=a.state, told_at=at, not_told=None) for a in alerts]


def message(alerts: Sequence[Alert]) -> str:
    """Open alerts in one sentence; those that fail first."""
    first = sorted(alerts, key=lambda a: (a.severity, a.key))
    some = "; ".join(a.sentence for a in first[:SHOWN])
    more = f"; and {len(first) - SHOWN} more" if len(first) > SHOWN else ""
    return f"{some}{more}"


def of_severity(alerts: Iterable[Alert], severity: str) -> list[Alert]:
    """Open alerts of a severity."""
    return [a for a in alerts if a.state == "open" and a.severity == severity]


def from_row(row: Mapping[str, Any]) -> Alert:
    """An alert from a row of operations.alert."""
    names = Alert.__dataclass_fields__
    return Alert(**{n: row[n] for n in names})
