"""Amounts in the reporting currency and costs, against a calculation in Python; late rates and costs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.spark.helpers import overlay, run

from lakecdp.platform.job import Job
from lakecdp.silver.money import Money, rates_of, reported

pytestmark = pytest.mark.spark
OURS, HELD = "CNY", 7
DAY = timedelta(days=1)
Quotes = Mapping[tuple[str, str, date], Decimal]


def rate(currency: str, day: date, quotes: Quotes) -> Decimal | None:
    """What a unit is worth in our currency, looked up day by day backwards."""
    if currency == OURS:
        return Decimal(1)
    found = []
    for base in {b for b, _, _ in quotes}:
        own = {(b, b, d): Decimal(1) for b, _, d in quotes if b == base}
        known = {**own, **quotes}
        last: list[tuple[date, Decimal]] = []
        for name in (currency, OURS):
            for back in range(HELD):
                if (base, name, day - back * DAY) in known:
                    last.append((day - back * DAY, known[base, name, day - back * DAY]))
                    break
        if len(last) == 2:
            (on, theirs), (ours_on, ours) = last
            found.append((min(on, ours_on), base, ours / theirs))
    return max(found)[2].quantize(Decimal("1e-16"), ROUND_HALF_UP) if found else None


def money(amount: Decimal, factor: Decimal | None) -> Decimal | None:
    """Rounded half up to four decimals."""
    return None if factor is None else (amount * factor).quantize(Decimal("1e-4"), ROUND_HALF_UP)


def test_rates_are_those_of_a_search_day_by_day(spark: SparkSession) -> None:
    r, first = random.Random(7), date(2026, 1, 1)
    days = [first + n * DAY for n in range(60)]
    quotes = {
        (base, name, day): Decimal(r.randrange(1, 10**9)) / 10**6
        for base, names in {"EUR": ("USD", "CNY", "JPY"), "USD": ("CNY", "KRW")}.items()
        for name in names
        for day in days
        if r.random() < 0.3 and day.weekday() < 5
    }
    given = spark.createDataFrame(
        [(*k, v) for k, v in quotes.items()],
        "base_currency string, currency string, rate_date date, rate decimal(20,10)",
    )
    asked = [(c, d) for c in ("USD", "EUR", "JPY", "KRW", "XXX") for d in days]
    pairs = spark.createDataFrame(asked, "currency string, day date")
    found = {
        (x["currency"], x["day"]): x["rate"]
        for x in rates_of(pairs, Money(OURS, HELD, given)).collect()
    }
    expected = {k: v for k in asked if (v := rate(*k, quotes)) is not None}
    assert found == expected
    assert {c for c, _ in expected} == {"USD", "EUR", "JPY", "KRW"}
    assert 0 < len(expected) < len(asked) - len(days)


def test_amounts_are_rounded_once(spark: SparkSession) -> None:
    cases = [
        ("1234567890123.4567", "0.0000571428571429"),
        ("-0.0500", "0.0010000000000000"),
        ("17.3300", "7.7931000000000000"),
        ("99999999999999.9999", "123456.7890123456789"[:18]),
    ]
    rows = [
        (str(i), "USD", date(2026, 1, i + 1), Decimal(a), Decimal(f))
        for i, (a, f) in enumerate(cases)
    ]
    frame = spark.createDataFrame(
        rows, "id string, currency string, day date, amount decimal(28,4), rate decimal(22,16)"
    )
    orders = frame.select(
        "id", "currency", F.col("day").alias("order_date"), F.lit("sale").alias("kind"), "amount",
        F.col("amount").alias("product_amount"), F.lit(None).cast("decimal(28,4)").alias("_cost"),
    )  # fmt: skip
    told = reported(orders, frame.select("currency", "day", "rate"), Money(OURS, HELD)).collect()
    assert {x["id"]: x["reporting_amount"] for x in told} == {
        i: money(a, f) for i, _, _, a, f in rows
    }


SALES = """
source: sales
files: "sales*.csv"
format: csv
columns: {id: string, at: timestamp, cur: string, sku: string, units: int, price: "decimal(18,4)", kind: string}
targets:
  - table: order_header
    columns: {order_id: id, ordered_at: at, currency: cur, kind: kind}
  - table: order_line
    columns:
      {order_id: id, line_id: sku, product_id: sku, quantity: units, unit_price: price, currency: cur,
       ordered_at: at}
"""
CATALOGUE = """
source: catalogue
files: "catalogue*.csv"
format: csv
columns: {sku: string, cost: "decimal(18,4)", cur: string}
targets:
  - table: product
    columns: {product_id: sku, cost: cost, currency: cur}
"""
ADAPTERS = Path(__file__).parents[3] / "conf/adapters"

ORDERS = [
    # Thursday to Saturday, 2026-01-01 to 03; the first Monday with rates is the 5th.
    ("o1", date(2026, 1, 1), "CNY", [("a", 2, "30.00")], "sale"),
    ("o2", date(2026, 1, 3), "USD", [("a", 1, "9.99"), ("b", 3, "5.01")], "sale"),
    ("o3", date(2026, 1, 6), "USD", [("b", 1, "7.77")], "sale"),
    ("o4", date(2026, 1, 6), "EUR", [("c", 2, "11.10")], "sale"),
    ("o5", date(2026, 1, 9), "USD", [("a", -1, "9.99")], "cancellation"),
    ("o6", date(2026, 1, 30), "USD", [("a", 1, "8.00")], "sale"),
    ("o7", date(2026, 1, 8), "CNY", [("b", 1, "70.00")], "adjustment"),
    ("o8", date(2026, 1, 9), "KRW", [("a", 1, "9000")], "sale"),
]
RATES = {
    date(2026, 1, 2): ("1.0800", "7.7700"),
    date(2026, 1, 5): ("1.0900", "7.8000"),
    date(2026, 1, 9): ("1.1000", "7.9000"),
}
COSTS = [
    ("a", date(2026, 1, 2), "12.50", "CNY"),
    ("b", date(2026, 1, 5), "2.00", "USD"),
    ("a", date(2026, 1, 9), "13.00", "CNY"),
]
PRODUCTS = [("a", "11.00", "CNY"), ("b", "3.00", "EUR"), ("c", "", "CNY")]


def expected(
    rates: Mapping[date, tuple[str, str]], costs: list[tuple[str, date, str, str]]
) -> dict[str, tuple[Decimal | None, ...]]:
    """exchange_rate, reporting_amount, reporting_cost and reporting_margin by order."""
    quotes = {
        ("EUR", c, d): Decimal(x)
        for d, both in rates.items()
        for c, x in zip(("USD", "CNY"), both, strict=True)
    }
    out = {}
    for order, day, currency, lines, kind in ORDERS:
        factor = rate(currency, day, quotes)
        amount = money(sum((n * Decimal(p) for _, n, p in lines), Decimal(0)), factor)
        spent: Decimal | None = Decimal(0)
        for sku, units, _ in lines:
            dated = [(d, x, c) for s, d, x, c in costs if s == sku and d <= day]
            listed = [(day, x, c) for s, x, c in PRODUCTS if s == sku and x]
            of = max(dated)[1:] if dated else (listed[0][1:] if listed else None)
            one = money(units * Decimal(of[0]), rate(of[1], day, quotes)) if of else None
            spent = None if spent is None or one is None else spent + one
        if kind == "adjustment":
            spent = None
        margin = None if amount is None or spent is None else amount - spent
        out[order] = (factor, amount, spent, margin)
    return out


class Shop:
    """A lake with orders, rates and costs that arrive one after the other."""

    def __init__(self, make_job: Callable[..., Job], folder: Path, name: str):
        self.conf = overlay(folder / f"conf-{name}", sales=SALES, catalogue=CATALOGUE)
        for adapter in ("exchange_rates", "product_costs"):
            text = (ADAPTERS / f"{adapter}.yaml").read_text()
            (self.conf / f"sources/{adapter}.yaml").write_text(text)
        names = "sales, catalogue, exchange_rates, product_costs"
        (self.conf / "demo.yaml").write_text(
            f"currency: {OURS}\nsources: [{names}]\nhash: {{key: test}}\n"
        )
        self.landing = folder / f"landing-{name}"
        self.make = lambda: make_job(
            "test", conf=self.conf, lake=folder / f"lake-{name}", landing=self.landing
        )
        self.files = 0

    def land(self, *files: tuple[str, ...]) -> Job:
        """Deliver files, each a place and lines, and assemble orders."""
        for place, *lines in files:
            self.files += 1
            path = self.landing / place.format(self.files)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")
        job = self.make()
        for stage in ("01_bronze/ingest", "02_silver/conform", "02_silver/assemble"):
            run(job, stage)
        assert job.failures == []
        return job

    def orders(self, job: Job) -> dict[str, tuple[Any, ...]]:
        """The columns of `expected`, and the batch, by order."""
        names = (
            "exchange_rate",
            "reporting_amount",
            "reporting_cost",
            "reporting_margin",
            "_batch",
        )
        return {
            x["order_id"]: tuple(x[n] for n in names)
            for x in job.read("silver.order").select("order_id", *names).collect()
        }


def sales(*orders: str) -> tuple[str, ...]:
    return ("sales{}.csv", "id,at,cur,sku,units,price,kind", *(
        f"{o},{d} 12:00:00,{c},{s},{n},{p},{k}"
        for o, d, c, lines, k in ORDERS if o in orders for s, n, p in lines
    ))  # fmt: skip


def quoted(*days: date) -> tuple[str, ...]:
    rows = [f"{d},{RATES[d][0]},{RATES[d][1]}," for d in days]
    return ("exchange_rates/r{}.csv", "Date,USD,CNY,", *rows)


def costs(*places: int) -> tuple[str, ...]:
    rows = [f"{s},{d},{x},{c},2026-01-01 00:00:00" for s, d, x, c in (COSTS[i] for i in places)]
    return ("product_costs/c{}.csv", "sku,valid_from,unit_cost,currency,changed_at", *rows)


PRODUCT_FILE = ("catalogue{}.csv", "sku,cost,cur", *(",".join(p) for p in PRODUCTS))


def test_late_rates_and_costs_restate_what_they_concern(make_job, tmp_path: Path) -> None:
    shop, every = Shop(make_job, tmp_path, "late"), [o for o, *_ in ORDERS]
    before = shop.orders(shop.land(PRODUCT_FILE, sales(*every)))
    assert {k: v[:-1] for k, v in before.items()} == expected({}, [])

    def restated(rates: list[date], places: list[int], what: tuple[str, ...]) -> set[str]:
        """Deliver, hold against the calculation, and say which orders were written."""
        nonlocal before
        after = shop.orders(shop.land(what))
        told = {k: v[:-1] for k, v in after.items()}
        assert told == expected({d: RATES[d] for d in rates}, [COSTS[i] for i in places])
        changed = {k for k in after if after[k] != before[k]}
        assert changed == {k for k in after if after[k][:-1] != before[k][:-1]}
        before = after
        return changed

    second, fifth, ninth = RATES
    # b costs in euro: an order in our own currency with b in it is concerned, but it is no sale.
    assert restated([second], [], quoted(second)) == {"o2", "o3", "o4"}
    assert restated([second, fifth], [], quoted(fifth)) == {"o3", "o4", "o5"}
    assert restated([second, fifth], [0, 1], costs(0, 1)) == {"o2", "o3", "o5", "o6", "o8"}
    assert restated([*RATES], [0, 1], quoted(ninth)) == {"o5"}
    assert restated([*RATES], [0, 1, 2], costs(2)) == {"o5", "o6", "o8"}
    assert before["o6"][:2] == (None, None)
    assert before["o8"][2] == Decimal("13.0000")


def test_any_order_of_arrival_gives_the_same_orders(make_job, tmp_path: Path) -> None:
    second, fifth, ninth = RATES
    parts = [
        [sales("o1", "o2", "o5"), quoted(fifth)],
        [sales("o3", "o4", "o6", "o7", "o8"), costs(0)],
        [quoted(ninth, second), PRODUCT_FILE],
        [costs(2, 1)],
    ]
    random.Random(1).shuffle(parts)
    shop = Shop(make_job, tmp_path, "any")
    for part in parts:
        job = shop.land(*part)
    assert {k: v[:-1] for k, v in shop.orders(job).items()} == expected(RATES, COSTS)


def test_amounts_of_a_source_are_reconciled_in_the_ledger(make_job, tmp_path: Path) -> None:
    shop = Shop(make_job, tmp_path, "ledger")
    head = "id,at,cur,sku,units,price,kind"
    day = "2026-01-02 12:00:00"
    lines = [
        f"1,{day},CNY,a,2,10.00,sale",
        f"1,{day},CNY,a,2,10.00,sale",  # a duplicate
        f"2,{day},CNY,b,1,0.35,sale",
        f"3,{day},yen,b,1,7.25,sale",  # no currency: refused
    ]
    job = shop.land(("sales{}.csv", head, *lines))

    def amounts(job: Job) -> tuple[Any, ...]:
        text = "unit = 'sales' AND job = '02_silver/conform' AND outcome <> 'unchanged'"
        last = job.read("operations.run").where(text).orderBy(F.desc("run_seq")).limit(1)
        (row,) = last.selectExpr("inline(amounts)").collect()
        return tuple(row)

    found = amounts(job)
    assert found[0] == "silver.order_line"
    assert found[1] is None  # CNY, and yen
    assert [str(x) for x in found[2:]] == ["47.6000", "20.3500", "20.0000", "7.2500"]
    # The same line again, and a new one.
    job = shop.land(("sales{}.csv", head, lines[2], f"4,{day},CNY,a,3,1.15,sale"))
    found = amounts(job)
    assert [str(x) for x in found[1:]] == ["CNY", "3.8000", "3.4500", "0.3500", "0.0000"]
