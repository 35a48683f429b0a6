"""Returns take back sales: the latest first, never more than was sold."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from lakecdp.silver.returns import Line, allocate


def line(order: str, units: str, *, owner: int = 1, product: str = "p", price: str = "2.5") -> Line:
    kind = "sale" if Decimal(units) > 0 else "cancellation"
    day = date(2026, 1, 1)
    return Line(order, "1", day, owner, product, kind, Decimal(units), Decimal(price))


def taken(*lines: Line) -> list[tuple[object, ...]]:
    """Return order, owner, product, sale order, units, amount."""
    return [(r[0], r[3], r[4], r[5], str(r[7]), str(r[8])) for r in allocate(lines)]


def test_the_latest_sale_is_taken_back_first_and_no_more_than_was_sold() -> None:
    assert taken(
        line("s1", "5"),
        line("s2", "3"),
        line("r1", "-4"),  # 3 of s2, 1 of s1
        line("s3", "1"),
        line("r2", "-7", price="1.0001"),  # 1 of s3, the 4 left of s1, 2 without a sale
        line("r3", "-1"),
    ) == [
        ("r1", 1, "p", "s2", "3", "7.5000"),
        ("r1", 1, "p", "s1", "1", "2.5000"),
        ("r2", 1, "p", "s3", "1", "1.0001"),
        ("r2", 1, "p", "s1", "4", "4.0004"),
        ("r2", 1, "p", "", "2", "2.0002"),
        ("r3", 1, "p", "", "1", "2.5000"),
    ]


def test_owners_and_products_do_not_meet() -> None:
    assert taken(
        line("s1", "1"),
        line("r1", "-1", product="q"),
        line("s2", "1", owner=2),
        line("r2", "-1", owner=2),
    ) == [("r1", 1, "q", "", "1", "2.5000"), ("r2", 2, "p", "s2", "1", "2.5000")]


def test_units_may_be_fractions() -> None:
    half = line("r", "-0.333", price="0.1234")
    assert taken(line("s", "0.5"), half) == [("r", 1, "p", "s", "0.333", "0.0411")]
