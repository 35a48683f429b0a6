"""A report as one HTML page: figures, words and style in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from lakecdp.insight import charts, findings
from lakecdp.insight.customers import AT_RISK, BINS, SMALLEST_GROUP
from lakecdp.insight.figures import Report, Seller, Week, share
from lakecdp.insight.findings import Money, Percent
from lakecdp.insight.sales import RECENT_DAYS

NONE = "–"
OTHER = "\0other"
SHOWN_CHANNELS = 5
STAYS, LEAVES = charts.PALETTE[0], charts.PALETTE[5]


@cache
def words() -> dict[str, dict[str, str]]:
    """The sentences of the page by key and language."""
    loaded: dict[str, dict[str, str]] = yaml.safe_load(_resource("words.yaml"))
    return loaded


def _resource(name: str) -> str:
    return resources.files("lakecdp.insight").joinpath(name).read_text(encoding="utf-8")


class Style:
    """How numbers are written, in one currency and language."""

    def __init__(self, report: Report):
        self.report = report
        self.words = {k: v[report.language] for k, v in words().items()}

    def number(self, value: float | Decimal | None) -> str:
        """A number without decimals, with separators of thousands."""
        return NONE if value is None else f"{round(value):,}".replace("-", "−")

    def money(self, value: float | Decimal | None) -> str:
        """An amount with its currency, in whole units."""
        return NONE if value is None else f"{self.report.currency} {self.number(value)}"

    def percent(self, value: float | None) -> str:
        """A part of a whole with one decimal."""
        return NONE if value is None else f"{100 * value:,.1f}%".replace("-", "−")

    def change(self, value: float | None) -> str:
        """A change with its sign; one to more than tenfold as the factor."""
        if value is not None and value > 9:
            return f"×{1 + value:,.0f}"
        return NONE if value is None else f"{100 * value:+,.1f}%".replace("-", "−")

    def fill(self, key: str, **values: Any) -> str:
        """A sentence with values in it."""
        return self.words[key].format(**{k: self._value(v) for k, v in values.items()})

    def _value(self, value: Any) -> str:
        if isinstance(value, Percent):
            return self.percent(value.value)
        if isinstance(value, Money):
            return self.money(value.value)
        if isinstance(value, int | Decimal):
            return self.number(value)
        return str(value)


def render(report: Report) -> str:
    """The page; the same report always gives the same text."""
    style = Style(report)
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "number": style.number,
        "money": style.money,
        "percent": style.percent,
        "change": style.change,
    }
    template = environment.from_string(_resource("report.html.j2"))
    names = _channel_names(report)
    return template.render(
        r=report,
        t=style.words,
        fill=style.fill,
        share=share,
        css=Markup(_resource("report.css")),  # noqa: S704 - our own file
        findings=[style.fill(f.key, **f.values) for f in findings.findings(report)],
        legend=_legend(names, style),
        amount_chart=_amount_chart(report, names, style),
        order_chart=_order_chart(report, names, style),
        score_chart=_score_chart(report, style),
        score_legend=[(style.words["stays"], STAYS), (style.words["at_risk"], LEAVES)],
        heat=charts.heat,
        retention_high=_highest(report),
        widest=_widest,
        grey=charts.GREY,
        at_risk=AT_RISK,
        smallest=SMALLEST_GROUP,
        recent=RECENT_DAYS,
        zero=Decimal(0),
    )


# Charts


def _channel_names(report: Report) -> list[str]:
    names = [c.name for c in report.sales.channels]
    if len(names) <= SHOWN_CHANNELS + 1:
        return names
    return [*names[:SHOWN_CHANNELS], OTHER]


def _colours(names: Sequence[str]) -> dict[str, str]:
    return charts.coloured([n for n in names if n != OTHER]) | {OTHER: "#4d5560"}


def _legend(names: Sequence[str], style: Style) -> list[tuple[str, str]]:
    colours = _colours(names)
    return [(style.words["other"] if n == OTHER else n, colours[n]) for n in names]


def _by_channel(
    weeks: Sequence[Week], names: Sequence[str], of: str, style: Style
) -> list[charts.Series]:
    colours = _colours(names)
    given: list[Mapping[str, Any]] = [getattr(w, of) for w in weeks]
    rows = []
    for name in names:
        if name == OTHER:
            values = [float(sum(v for c, v in g.items() if c not in names)) for g in given]
        else:
            values = [float(g.get(name, 0)) for g in given]
        shown = style.words["other"] if name == OTHER else name
        rows.append(charts.Series(shown, colours[name], values))
    return rows


def _week_axis(weeks: Sequence[Week]) -> charts.Axis:
    labels: list[str | None] = []
    before: date | None = None
    for w in weeks:
        last = w.monday + timedelta(days=6)
        new = before is None or last.month != before.month
        labels.append(f"{last:%Y-%m}" if new else None)
        before = last
    return charts.Axis([f"{w.monday}" for w in weeks], labels)


def _amount_chart(report: Report, names: Sequence[str], style: Style) -> Markup:
    weeks = report.sales.weeks
    if not weeks:
        return Markup("")
    back = charts.Series(style.words["returns"], charts.GREY, [-float(w.returned) for w in weeks])
    series = [*_by_channel(weeks, names, "amount", style), back]
    title = style.fill("chart_amount", currency=report.currency)
    return charts.columns(title, _week_axis(weeks), series, style.number, height=300)


def _order_chart(report: Report, names: Sequence[str], style: Style) -> Markup:
    weeks = report.sales.weeks
    if not weeks:
        return Markup("")
    series = _by_channel(weeks, names, "orders", style)
    return charts.columns(
        style.words["chart_orders"], _week_axis(weeks), series, style.number, height=200
    )


def _score_chart(report: Report, style: Style) -> Markup:
    bins = report.churn.bins
    if not bins:
        return Markup("")
    edges = [f"{100 * i // BINS}–{100 * (i + 1) // BINS}%" for i in range(BINS)]
    limit = int(AT_RISK * BINS)
    series = [
        charts.Series(
            style.words["stays"],
            STAYS,
            [float(n) if i < limit else 0.0 for i, n in enumerate(bins)],
        ),
        charts.Series(
            style.words["at_risk"],
            LEAVES,
            [float(n) if i >= limit else 0.0 for i, n in enumerate(bins)],
        ),
    ]
    axis = charts.Axis(edges, list(edges))
    return charts.columns(style.words["chart_scores"], axis, series, style.number, height=220)


def _highest(report: Report) -> float:
    parts = [
        n / c.customers for c in report.cohorts if c.customers for n in c.bought if n is not None
    ]
    return max(parts, default=0.0)


def _widest(sellers: Sequence[Seller]) -> Decimal:
    return max((s.amount for s in sellers), default=Decimal(1))
