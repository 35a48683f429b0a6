"""Charts as SVG inside the page: no script, so that they print and open anywhere.

Each chart is drawn twice, wide and narrow, and the style sheet shows the one that fits: text in a
picture that is only scaled down cannot be read on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""
GREY = "#8a919c"
WIDE, NARROW = 900, 340
LEFT, RIGHT, TOP, BOTTOM = 74, 8, 12, 28


@dataclass(frozen=True)
class Series:
    """One colour of a chart: its name and a value per column; negative ones hang below zero."""

    name: str
    colour: str
    values: Sequence[float]


@dataclass(frozen=True)
class Axis:
    """The columns: their names in tooltips, and the labels below some of them."""

    names: Sequence[str]
    labels: Sequence[str | None]


def coloured(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name."""
    return {n: PALETTE[i % len(PALETTE)] for i, n in enumerate(names)}


def columns(
    title: str,
    axis: Axis,
    series: Sequence[Series],
    show: Callable[[float], str],
    height: int = 260,
) -> Markup:
    """Stacked columns, in both widths.

    Args:
        title: what is shown, for those who cannot see it.
        axis: the columns.
        series: the parts of each column from zero outwards.
        show: a value as text.
        height: height of the picture.
    """
    both = [_columns(title, axis, series, show, height, w) for w in (WIDE, NARROW)]
    return Markup("").join(both)


def _columns(
    title: str,
    axis: Axis,
    series: Sequence[Series],
    show: Callable[[float], str],
    height: int,
    width: int,
) -> Markup:
    n = len(axis.names)
    high = max((sum(max(s.values[i], 0) for s in series) for i in range(n)), default=0)
    low = min((sum(min(s.values[i], 0) for s in series) for i in range(n)), default=0)
    step = nice_step(high - low)
    top, bottom = max(step * math.ceil(high / step), step), low * 1.05
    lowest = math.ceil(bottom / step)

    def y(value: float) -> float:
        return TOP + (top - value) / (top - bottom) * (height - TOP - BOTTOM)

    slot = (width - LEFT - RIGHT) / n
    kind = "wide" if width == WIDE else "narrow"
    size = f'class="{kind}" viewBox="0 0 {width} {height}"'
    out = [f'<svg {size} role="img" aria-label="{escape(title)}">']
    for k in range(lowest, round(top / step) + 1):
        value = k * step
        line = "grid" if k else "zero"
        out.append(
            f'<line class="{line}" x1="{LEFT}" x2="{width - RIGHT}" '
            f'y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{escape(show(value))}</text>"
        )
    out += [_column(axis, series, show, i, LEFT + i * slot, slot, y) for i in range(n)]
    out += _labels(axis, slot, height, width)
    return Markup("".join([*out, "</svg>"]))  # noqa: S704 - all texts are escaped above


def _column(
    axis: Axis,
    series: Sequence[Series],
    show: Callable[[float], str],
    i: int,
    left: float,
    slot: float,
    y: Callable[[float], float],
) -> str:
    said = [f"{s.name} {show(s.values[i])}" for s in series if s.values[i]]
    out = [f"<g><title>{escape(': '.join(filter(None, [axis.names[i], ', '.join(said)])))}</title>"]
    above = below = 0.0
    gap = min(3.0, slot * 0.2)
    for s in series:
        value = s.values[i]
        if not value:
            continue
        base = above if value > 0 else below
        upper, lower = max(base, base + value), min(base, base + value)
        out.append(
            f'<rect x="{left + gap / 2:.1f}" y="{y(upper):.1f}" width="{slot - gap:.1f}" '
            f'height="{max(y(lower) - y(upper), 0.5):.1f}" fill="{s.colour}"/>'
        )
        if value > 0:
            above += value
        else:
            below += value
    return "".join([*out, "</g>"])


def _labels(axis: Axis, slot: float, height: int, width: int) -> list[str]:
    out = []
    free = 0.0
    for i, label in enumerate(axis.labels):
        if label is None:
            continue
        x = LEFT + (i + 0.5) * slot
        half = len(label) * 3.6
        if x - half < free or x + half > width:
            continue
        free = x + half + 10
        out.append(
            f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{escape(label)}</text>'
        )
    return out


def nice_step(span: float) -> float:
    """A round distance of grid lines that gives four to eight of them; 1 for nothing at all."""
    if span <= 0:
        return 1.0
    rough = span / 5
    scale = float(10 ** math.floor(math.log10(rough)))
    return next(m * scale for m in (1, 2, 2.5, 5, 10) if m * scale >= rough)


def luminance(red: int, green: int, blue: int) -> float:
    """Relative luminance of a colour (WCAG 2): below 0.18 white text is the one to read."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (red / 255, green / 255, blue / 255)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def heat(value: float, highest: float) -> Markup:
    """Colours of a cell from white to dark blue, with text that can be read on it."""
    part = min(1.0, value / highest) if highest else 0.0
    light, dark = (247, 251, 255), (8, 69, 148)
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(light, dark, strict=True))
    light_text = luminance(red, green, blue) < 0.18
    text = "#fff" if light_text else "#10151c"
    return Markup(f"background:rgb({red},{green},{blue});color:{text}")  # noqa: S704 - numbers
