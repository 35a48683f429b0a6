"""What records amount to must be what was written, refused, or of duplicates."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lakecdp.platform.ledger import Amounts


@pytest.mark.parametrize(
    ("given", "written", "duplicate", "refused", "duplicates", "holds"),
    [
        ("10", "7", "0", "3", 0, True),
        ("10", "7", "3", "0", 1, True),
        ("0", "0", "0", "0", 0, True),
        ("10", "9.9999", "0.0001", "0", 0, False),
        ("10", "11", "-1", "0", 0, False),
        ("10", "7", "2", "0", 1, False),
    ],
)
def test_amounts_hold_when_no_duplicate_explains_a_difference(
    given: str, written: str, duplicate: str, refused: str, duplicates: int, holds: bool
) -> None:
    parts = map(Decimal, (given, written, duplicate, refused))
    assert Amounts("silver.order_line", "EUR", *parts, duplicates).holds is holds
