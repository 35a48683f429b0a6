"""Findings: declared rules that turn figures into sentences, the notable ones first.

A rule looks at one matter. It gives the key of a sentence in words.yaml with the values to fill
in and says whether the matter is notable; the thresholds are the constants below. A page has at
most six findings, and at least three where the data allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from lakecdp.insight.figures import ZERO, Report, share

MOST = 6
FEWEST = 3

CONCENTRATION = 1.5
"""A tier's share of the amount against its share of the customers."""
TREND = 0.05
RETURNED = 0.05
ANONYMOUS = 0.05
ONCE = 0.4
ACTIVITY = 0.1
SELLER = 0.1
REFUSED = 0.02
COMPLETE = 0.85


@dataclass(frozen=True)
class Percent:
    """A part of a whole as 0 to 1, to be shown in per cent."""

    value: float


@dataclass(frozen=True)
class Money:
    """An amount in the currency of the page."""

    value: Decimal


@dataclass(frozen=True)
class Finding:
    """One sentence to be said: its key in words.yaml and what is filled in."""

    key: str
    notable: bool
    values: Mapping[str, Any]


def findings(report: Report) -> tuple[Finding, ...]:
    """What the page says first: notable matters in the order of `RULES`, filled up to three."""
    found = [f for rule in RULES if (f := rule(report)) is not None]
    notable = [f for f in found if f.notable][:MOST]
    others = [f for f in found if not f.notable]
    return (*notable, *others[: max(0, FEWEST - len(notable))])


def concentration(r: Report) -> Finding | None:
    """A tier that buys far more than its share of the customers."""
    parts = []
    for g in r.tiers.groups:
        people, amount = share(g.customers, r.tiers.customers), share(g.amount, r.tiers.amount)
        if people and amount:
            parts.append((amount / people, people, amount, g.segment.name))
    if not parts:
        return None
    times, people, amount, tier = max(parts)
    values = {"amount": Percent(amount), "people": Percent(people), "tier": tier}
    return Finding("finding_concentration", times >= CONCENTRATION, values)


def trend(r: Report) -> Finding | None:
    """The last four full weeks against the four before."""
    full = [w for w in r.sales.weeks if w.monday + timedelta(days=6) <= r.run_date]
    if len(full) < 8:
        return None
    now = sum((sum(w.amount.values(), ZERO) for w in full[-4:]), ZERO)
    before = sum((sum(w.amount.values(), ZERO) for w in full[-8:-4]), ZERO)
    change = share(now - before, before) if before > 0 else None
    if change is None:
        return None
    key = "finding_trend_up" if change >= 0 else "finding_trend_down"
    values = {"change": Percent(abs(change)), "day": full[-1].monday + timedelta(days=6)}
    return Finding(key, abs(change) >= TREND, values)


def returned(r: Report) -> Finding | None:
    """How much of sales comes back."""
    part = share(r.sales.returned, r.sales.amount)
    if not part:
        return None
    values = {"part": Percent(part), "amount": Money(r.sales.returned)}
    return Finding("finding_returned", part >= RETURNED, values)


def anonymous(r: Report) -> Finding | None:
    """Sales that belong to no customer."""
    part = share(r.sales.anonymous_amount, r.sales.amount)
    if not part or not r.activity.customers:
        return None
    values = {"part": Percent(part), "orders": r.sales.anonymous_orders}
    return Finding("finding_anonymous", part >= ANONYMOUS, values)


def valuable_at_risk(r: Report) -> Finding | None:
    """Customers of the first tier who are likely to leave."""
    if not r.churn.risks or not r.churn.risks[0].scored:
        return None
    top = r.churn.risks[0]
    values = {
        "at_risk": top.at_risk,
        "scored": top.scored,
        "tier": top.tier.name,
        "amount": Money(top.amount_at_risk),
    }
    return Finding("finding_risk", top.at_risk > 0, values)


def once(r: Report) -> Finding | None:
    """Buyers who bought on one day only."""
    part = share(r.buyers.customers - r.buyers.repeat, r.buyers.customers)
    if part is None:
        return None
    values = {"part": Percent(part), "buyers": r.buyers.customers}
    return Finding("finding_once", part >= ONCE, values)


def active(r: Report) -> Finding | None:
    """Active customers against the 30 days before."""
    change = r.activity.change
    if change is None:
        return None
    key = "finding_active_up" if change >= 0 else "finding_active_down"
    values = {"change": Percent(abs(change)), "active": r.activity.active}
    return Finding(key, abs(change) >= ACTIVITY, values)


def best_seller(r: Report) -> Finding | None:
    """The category, or else product, that sells most."""
    top = (r.categories or r.products)[:1]
    if not top or top[0].part is None:
        return None
    values = {"name": top[0].name, "part": Percent(top[0].part)}
    return Finding("finding_seller", top[0].part >= SELLER, values)


def refused(r: Report) -> Finding | None:
    """Records that wait in quarantine."""
    part = share(r.quality.open, r.quality.landed)
    if part is None:
        return None
    values = {"open": r.quality.open, "part": Percent(part)}
    return Finding("finding_refused", part >= REFUSED, values)


def complete(r: Report) -> Finding | None:
    """How much is known of a customer on average."""
    if r.tags.completeness is None:
        return None
    least = min(r.tags.tags, key=lambda t: t.known)
    values = {"part": Percent(r.tags.completeness), "tag": least.tag.name}
    return Finding("finding_complete", r.tags.completeness < COMPLETE, values)


RULES: Sequence[Callable[[Report], Finding | None]] = (
    concentration,
    trend,
    valuable_at_risk,
    anonymous,
    returned,
    once,
    refused,
    active,
    complete,
    best_seller,
)
"""In order of weight."""
