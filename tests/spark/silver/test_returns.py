"""Returns are matched with sales whatever task their lines come to; the oracle deals single units."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from pyspark.sql import SparkSession

from lakecdp.silver.returns import matched, movements

LINES = (
    "order_id string, line_id string, order_date date, at timestamp, owner_node bigint, "
    "product_id string, line_type string, quantity decimal(18,3), unit_price decimal(18,4)"
)


def test_every_unit_goes_back_to_the_latest_sale_that_still_has_one(spark: SparkSession) -> None:
    chance = random.Random(5)
    lines = []
    for n in range(600):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=chance.randrange(500))
        kind = chance.choice(("sale", "sale", "cancellation"))
        units = Decimal(chance.randint(1, 5)) * (1 if kind == "sale" else -1)
        owner, product = chance.randrange(12), f"p{chance.randrange(3)}"
        lines.append(
            (f"o{n:03}", "1", date(2026, 1, 1), at, owner, product, kind, units, Decimal(2))
        )
    chance.shuffle(lines)

    expected: Counter[tuple[str, str]] = Counter()
    units_of: dict[tuple[int, str], list[str]] = {}
    for line in sorted(lines, key=lambda x: (x[3], x[6] != "sale", x[0])):
        stack = units_of.setdefault((line[4], line[5]), [])
        for _ in range(abs(int(line[7]))):
            if line[6] == "sale":
                stack.append(line[0])
            else:
                expected[line[0], stack.pop() if stack else ""] += 1

    before = spark.conf.get("spark.sql.adaptive.enabled")
    try:
        for adaptive in ("true", "false"):
            spark.conf.set("spark.sql.adaptive.enabled", adaptive)
            rows = matched(spark.createDataFrame(lines, LINES).repartition(4)).collect()
            assert {(r.order_id, r.sale_order_id): int(r.quantity) for r in rows} == expected
            assert all(r.amount == r.quantity * 2 for r in rows)
    finally:
        spark.conf.set("spark.sql.adaptive.enabled", str(before))


def test_an_order_that_never_took_effect_sells_nothing(spark: SparkSession) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    fields = LINES.replace("at timestamp", "ordered_at timestamp")
    lines = [
        (order, "1", date(2026, 1, 1), at, owner, "p", "sale", Decimal(1), Decimal(2))
        for order, owner in (("a", 1), ("b", 1), ("c", None), ("d", None))
    ]
    headers = [("a", 1, at, "void"), ("b", 1, at, "sale"), ("c", 2, at, "sale")]
    found = movements(
        spark.createDataFrame(lines, fields),
        spark.createDataFrame(
            headers, "order_id string, owner_node bigint, ordered_at timestamp, kind string"
        ),
    )
    # `c` takes its owner from its order; `d` has no order and no owner.
    assert {(r.order_id, r.owner_node) for r in found.collect()} == {("b", 1), ("c", 2)}
