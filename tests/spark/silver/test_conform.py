"""Conforming: types, canonical rows, one row per key, restated mappings."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from tests.spark.helpers import overlay, rows, run

from lakecdp.platform.errors import ConfigError

SHOP = """
source: shop
channel: web
files: "shop/*.csv"
format: csv
timezone: Europe/Berlin
currency: EUR
columns:
  order_id: {type: string, required: true}
  line: int
  at: {type: timestamp, required: true}
  changed: timestamp
  sku: string
  quantity: {type: int, required: true}
  price: {type: "decimal(18,4)", required: true}
  member: string
  phone: string
personal: [member, phone]
identifiers: {member_id: member, phone: phone}
targets:
  - table: order_line
    columns:
      {order_id: order_id, line_id: line, ordered_at: at, product_id: sku, quantity: quantity, unit_price: price}
    version: changed
  - table: order_header
    columns: {order_id: order_id, ordered_at: at}
    version: changed
"""
HEADER = "order_id,line,at,changed,sku,quantity,price,member,phone\n"
RECORDS = [
    # winter and summer time of Berlin; the second version of line 1 wins whenever it arrives
    "o1,1,2026-01-15 10:00:00,2026-01-15 10:00:00,A,1,2.50,m1,0151 2345 6789",
    "o1,1,2026-01-15 10:00:00,2026-01-16 09:00:00,A,3,2.50,m1,0151 2345 6789",
    "o1,2,2026-01-15 10:00:00,2026-01-15 10:00:00,B,1,1.005,m1,",
    "o2,1,2026-07-15T10:00:00,2026-07-15 10:00:00,A,1,2.50,,+49 (151) 23456789",
    "o2,1,2026-07-15T10:00:00,2026-07-15 10:00:00,A,1,2.50,,+49 (151) 23456789",
    "o3,1,2026-07-15T10:00:00+00:00,,A,1,4.00,,",
    "o4,1,2026-02-30 10:00:00,,A,1,4.00,,",
    "o5,1,2026-01-15 10:00:00,,A,many,4.00,m1,",
    "o6,1,2026-01-15 10:00:00,,A,1,,m2,",
]


@pytest.fixture
def shop(make_job, tmp_path: Path):
    """Land parts of the records in files, one run each; returns the last job."""
    landing = tmp_path / "landing" / "shop"
    landing.mkdir(parents=True)
    conf = overlay(tmp_path / "conf", shop=SHOP)

    def land(parts: list[list[str]], lake: str = "lake", only_last: bool = False):
        for old in landing.glob("*.csv"):
            old.unlink()
        job = None
        for i, part in enumerate(parts):
            (landing / f"{i}.csv").write_text(HEADER + "\n".join(part) + "\n")
            job = make_job("test", conf=conf, lake=tmp_path / lake)
            run(job, "01_bronze/ingest")
            job.last = run(job, "02_silver/conform")
        return job

    return land


def test_records_become_typed_lines_once_each(shop) -> None:
    job = shop([RECORDS])
    lines = job.read("silver.order_line").selectExpr(
        "order_id", "line_id", "cast(ordered_at as string) at", "quantity", "amount", "currency",
        "transform(identifiers, i -> i.type) ids",
    )  # fmt: skip
    d = Decimal
    assert rows(lines, *lines.columns) == [
        ("o1", "1", "2026-01-15 09:00:00", d("3.000"), d("7.5000"), "EUR", ["member_id", "phone"]),
        ("o1", "2", "2026-01-15 09:00:00", d("1.000"), d("1.0050"), "EUR", ["member_id"]),
        ("o2", "1", "2026-07-15 08:00:00", d("1.000"), d("2.5000"), "EUR", ["phone"]),
        ("o3", "1", "2026-07-15 10:00:00", d("1.000"), d("4.0000"), "EUR", []),
    ]
    aside = rows(job.read("silver.quarantine"), "line", "target", "reason")
    assert aside == [
        (10, "silver", "price is missing"),
        (8, "silver", "at: '2026-02-30 10:00:00' is not of type timestamp"),
        (9, "silver", "quantity: 'many' is not of type int"),
    ]
    summary = job.last[0]
    assert (summary.rows_in, summary.rows_out) == (9, 3)  # order_header comes first
    balance = (
        job.read("operations.run").where("job = '02_silver/conform'").selectExpr("inline(balance)")
    )
    assert rows(balance, "target", "rows_in", "rows_out", "rows_duplicate", "rows_quarantined") == [
        ("records", 9, 6, 0, 3),
        ("silver.order_header", 6, 3, 3, 0),
        ("silver.order_line", 6, 4, 2, 0),
    ]
    # One phone in two spellings is one node; its clear value stands in silver.identifier alone.
    assert rows(job.read("silver.identifier"), "type", "value") == [
        ("member_id", "m1"),
        ("phone", "+4915123456789"),
    ]


def test_any_order_of_arrival_gives_the_same_rows(shop) -> None:
    from lakecdp import contracts

    results = []
    picked = [0, 1, 2, 3, 4, 8]
    splits = ([picked], [[1, 3], [0, 8, 2], [4]], [[4, 2], [0], [8, 3, 1]])
    for n, parts in enumerate(splits):
        job = shop([[RECORDS[i] for i in part] for part in parts], f"lake{n}")
        results.append(
            {
                t: rows(job.read(t), *contracts.table(t).compared)
                for t in ("silver.order_line", "silver.order_header", "silver.identifier")
            }
        )
    for other in results[1:]:
        assert other == results[0]


def test_a_changed_mapping_restates_what_has_landed(shop, tmp_path: Path) -> None:
    job = shop([RECORDS])
    assert job.read("silver.order_line").where("order_id = 'o5'").count() == 0
    mapping = tmp_path / "conf/sources/shop.yaml"
    mapping.write_text(
        SHOP.replace("quantity: {type: int, required: true}", "quantity: string")
        .replace("quantity: quantity,", "quantity: 'coalesce(try_cast(quantity as int), 1)',")
        .replace("  - table: order_line\n", "  - table: order_line\n    where: order_id <> 'o3'\n")
    )
    again = shop([RECORDS])
    assert [r[0] for r in rows(again.read("silver.order_line"), "order_id")] == [
        "o1",
        "o1",
        "o2",
        "o5",
    ]
    status = rows(again.read("silver.quarantine"), "line", "status")
    assert status == [(10, "open"), (8, "open"), (9, "replayed")]
    assert rows(again.read("silver.vacated").where("order_id = 'o3'"), "target", "order_id") == [
        ("silver.order_line", "o3")
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("product_id: sku", "product_id: skuu", 23, "The columns are"),
        ("member_id: member", "memberid: member", 19, "no identifier type `memberid`"),
        ("quantity: quantity", "quantity: quantity +", 23, "cannot be used"),
        ("product_id: sku", "product_id: reflect(sku)", 23, "`reflect` is not allowed"),
        ("ordered_at: at", "ordered_at: now()", 23, "`now` reads the clock"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_line(
    shop, tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    mapping = tmp_path / "conf/sources/shop.yaml"
    mapping.write_text(SHOP.replace(old, new))
    with pytest.raises(ConfigError, match=says) as e:
        shop([RECORDS[:1]])
    assert e.value.line == line


COMMA = """
source: winkel
files: "*.csv"
format: csv
file: {delimiter: ";"}
columns:
  id: {type: string, required: true}
  prijs: {type: "decimal(18,4)", decimal: ","}
targets:
  - table: product
    columns: {product_id: id, price: prijs, currency: "'EUR'"}
"""


def test_a_decimal_comma_is_read_and_nothing_else_is_taken_for_one(
    make_job, tmp_path: Path
) -> None:
    conf = overlay(tmp_path / "conf", winkel=COMMA)
    (tmp_path / "landing").mkdir()
    given = [
        "a;1.234,50",
        "b;12,95",
        "c;1234",
        "d;-0,5",
        "e;1 234 567,1",
        "f;",
        "g;1.23",
        "h;n.v.t.",
    ]
    (tmp_path / "landing" / "x.csv").write_text("\n".join(["id;prijs", *given]) + "\n")
    job = make_job("test", conf=conf)
    run(job, "01_bronze/ingest")
    run(job, "02_silver/conform")
    prices = {
        r[0]: r[1] and str(r[1]) for r in rows(job.read("silver.product"), "product_id", "price")
    }
    assert prices == {
        "a": "1234.5000", "b": "12.9500", "c": "1234.0000", "d": "-0.5000", "e": "1234567.1000", "f": None,
    }  # fmt: skip
    reasons = [r[0] for r in rows(job.read("silver.quarantine"), "reason")]
    assert reasons == [f"prijs: '{v}' is not of type decimal(18,4)" for v in ("1.23", "n.v.t.")]


def test_an_identifier_may_be_taken_from_the_items_of_a_record(make_job, tmp_path: Path) -> None:
    mapping = """
source: box
files: "box*.json"
format: json
columns: {id: string, at: timestamp, parts: "array<struct<sku: string, phone: string>>"}
identifiers: {phone: Item.phone, device_id: "concat(id, '-', item_no)"}
targets:
  - table: order_line
    explode: parts
    columns: {order_id: id, line_id: item.sku, ordered_at: at, product_id: item.sku, unit_price: "2"}
"""
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "box.json").write_text(
        '{"id":"o1","at":"2026-01-01 10:00:00","parts":[{"sku":"a","phone":"0151 2345 6789"},'
        '{"sku":"b","phone":"0151 2345 6780"}]}'
    )
    job = make_job("test", conf=overlay(tmp_path / "conf", box=mapping))
    run(job, "01_bronze/ingest")
    run(job, "02_silver/conform")
    assert job.failures == []
    assert rows(job.read("silver.identifier"), "type", "value") == [
        ("device_id", "o1-0"), ("device_id", "o1-1"),
        ("phone", "+4915123456780"), ("phone", "+4915123456789"),
    ]  # fmt: skip
    owned = job.read("silver.order_line").join(
        job.read("silver.identifier").selectExpr("node_id AS owner_node", "value"), "owner_node"
    )
    assert rows(owned, "product_id", "value") == [("a", "+4915123456789"), ("b", "+4915123456780")]
