"""Returns take back sales: the latest first, never more than was sold."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from lakecdp.silver.returns import Line, allocate


def line(order: str, units: str, *, price: str = "2.5") -> Line:
    kind = "sale" if Decimal(units) > 0 else "cancellation"
    return Line(order, "1", date(2026, 1, 1), kind, Decimal(units), Decimal(price))


def taken(*lines: Line) -> list[tuple[object, ...]]:
    """Return order, sale order, units, amount."""
    return [(r[0], r[3], str(r[5]), str(r[6])) for r in allocate(lines)]


def test_the_latest_sale_is_taken_back_first_and_no_more_than_was_sold() -> None:
    assert taken(
        line("s1", "5"),
        line("s2", "3"),
        line("r1", "-4"),  # 3 of s2, 1 of s1
        line("s3", "1"),
        line("r2", "-7", price="1.0001"),  # 1 of s3, the 4 left of s1, 2 without a sale
        line("r3", "-1"),
    ) == [
        ("r1", "s2", "3", "7.5000"),
        ("r1", "s1", "1", "2.5000"),
        ("r2", "s3", "1", "1.0001"),
        ("r2", "s1", "4", "4.0004"),
        ("r2", "", "2", "2.0002"),
        ("r3", "", "1", "2.5000"),
    ]


def test_units_may_be_fractions() -> None:
    half = line("r", "-0.333", price="0.1234")
    assert taken(line("s", "0.5"), half) == [("r", "s", "0.333", "0.0411")]
