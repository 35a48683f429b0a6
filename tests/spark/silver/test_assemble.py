"""Orders are summed anew when what they are made of changes, and only then."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.spark.helpers import overlay, rows, run

SALES = """
source: sales
files: "sales*.csv"
format: csv
columns: {id: string, at: timestamp, sku: string, units: int}
targets:
  - table: order_header
    columns: {order_id: id, ordered_at: at}
  - table: order_line
    columns: {order_id: id, line_id: sku, ordered_at: at, product_id: sku, quantity: units, unit_price: "2.0"}
"""
CATALOGUE = """
source: catalogue
files: "catalogue*.csv"
format: csv
columns: {sku: string, category: string, price: "decimal(18,4)", changed: timestamp}
targets:
  - table: product
    columns: {product_id: sku, category: category, price: price}
    version: changed
"""


def test_a_product_that_changes_category_moves_in_its_orders(make_job, tmp_path: Path) -> None:
    conf = overlay(tmp_path / "conf", sales=SALES, catalogue=CATALOGUE)
    landing = tmp_path / "landing"
    landing.mkdir()

    def land(name: str, *lines: str) -> tuple[list[tuple], str]:
        """Categories of all orders, and what the last job did."""
        (landing / name).write_text("\n".join(lines) + "\n")
        job = make_job("test", conf=conf)
        for stage in ("01_bronze/ingest", "02_silver/conform"):
            run(job, stage)
        (done,) = run(job, "02_silver/assemble")
        orders = job.read("silver.order").selectExpr("order_id", "inline_outer(categories)")
        return rows(orders, "order_id", "category", "units", "amount"), done.outcome

    def units(n: int) -> tuple[Decimal, Decimal]:
        return Decimal(n).quantize(Decimal("0.001")), Decimal(2 * n).quantize(Decimal("0.0001"))

    none = (None, None, None)
    first = ["id,at,sku,units", "1,2026-01-01,a,1", "1,2026-01-01,b,2", "2,2026-01-02,b,3"]
    assert land("sales1.csv", *first) == ([("1", *none), ("2", *none)], "published")

    head = "sku,category,price,changed"
    found = land("catalogue1.csv", head, "a,toys,1,2026-01-03", "b,toys,1,2026-01-03")
    assert found[0] == [("1", "toys", *units(3)), ("2", "toys", *units(3))]

    # Another price moves nothing; another category moves the orders with the product.
    same, outcome = land("catalogue2.csv", head, "a,toys,9,2026-01-04", "b,toys,9,2026-01-04")
    assert (same, outcome) == (found[0], "unchanged")
    assert land("catalogue3.csv", head, "b,games,9,2026-01-05") == (
        [("1", "games", *units(2)), ("1", "toys", *units(1)), ("2", "games", *units(3))],
        "published",
    )


TILL = """
source: till
files: "till*.csv"
format: csv
columns: {id: string, at: timestamp, sku: string, units: int, kind: string, phone: string}
identifiers: {phone: phone}
targets:
  - table: order_header
    columns: {order_id: id, ordered_at: at, kind: kind}
    version: at
  - table: order_line
    where: units <> 0
    columns:
      {order_id: id, line_id: sku, ordered_at: at, product_id: sku, quantity: units,
       unit_price: "2.0", line_type: "if(units < 0, 'cancellation', 'sale')"}
"""


def test_a_return_seeks_another_sale_when_its_sale_turns_void(make_job, tmp_path: Path) -> None:
    conf = overlay(tmp_path / "conf", till=TILL)
    landing = tmp_path / "landing"
    landing.mkdir()
    head = "id,at,sku,units,kind,phone"
    mine = "+4915123456789"

    def found(lake: str, *lines: str) -> list[tuple]:
        (landing / f"till{len(list(landing.iterdir()))}.csv").write_text("\n".join([head, *lines]))
        job = make_job("test", conf=conf, lake=tmp_path / lake)
        for stage in ("01_bronze/ingest", "02_silver/conform", "02_silver/assemble"):
            run(job, stage)
        return rows(job.read("silver.return"), "order_id", "sale_order_id", "quantity")

    def units(n: int) -> Decimal:
        return Decimal(n).quantize(Decimal("0.001"))

    first = [
        f"s1,2026-01-01 10:00:00,a,3,sale,{mine}",
        f"s2,2026-01-02 10:00:00,a,3,sale,{mine}",
        f"r1,2026-01-03 10:00:00,a,-2,cancellation,{mine}",
    ]
    assert found("lake", *first) == [("r1", "s2", units(2))]
    # The later sale never took effect after all, as its header says a day later.
    void = f"s2,2026-01-04 10:00:00,b,0,void,{mine}"
    assert found("lake", void) == [("r1", "s1", units(2))]
    # An exchange states both kinds; whichever header is the last, there is a sale in it.
    for order, kinds in (("x1", ("sale", "cancellation")), ("x2", ("cancellation", "sale"))):
        at = "2026-01-05 10:00:00"
        lines = [
            f"{order},{at},{s},{u},{k},{mine}" for s, u, k in zip("ab", (1, -1), kinds, strict=True)
        ]
        (landing / f"till{order}.csv").write_text("\n".join([head, *lines]))
    (landing / "till-x3.csv").write_text(f"{head}\nx3,2026-01-06 10:00:00,a,-1,sale,{mine}")
    assert found("rebuilt")[:1] == [("r1", "s1", units(2))]
    orders = make_job("test", conf=conf, lake=tmp_path / "rebuilt").read("silver.order")
    kinds = dict(rows(orders, "order_id", "kind"))
    assert kinds == {
        "s1": "sale", "s2": "void", "r1": "cancellation",
        "x1": "sale", "x2": "sale", "x3": "cancellation",
    }  # fmt: skip
