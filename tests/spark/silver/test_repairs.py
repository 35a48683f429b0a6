"""Repairs and outliers by rule: values, marks, accounts, restated when a rule changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.spark.helpers import overlay, rows, run

from lakecdp import contracts
from lakecdp.platform.errors import ConfigError

SHOP = """
source: shop
files: "*.json"
format: json
columns:
  {id: string, line: string, at: timestamp, n: "decimal(18,3)", price: "decimal(18,4)",
   total: "decimal(18,4)", member: string, phone: string, city: string, country: string}
identifiers: {member_id: member, phone: phone}
targets:
  - table: order_line
    where: id IS NOT NULL
    columns: {order_id: id, line_id: line, ordered_at: at, quantity: n, unit_price: price, amount: total}
  - table: event
    where: id IS NOT NULL
    columns: {event_id: "concat(id, '-', line)", event_at: at, event_name: "'purchase'", country: country}
  - table: attribute
    where: member IS NOT NULL
    columns: {observed_at: at}
    attributes: {city: city, level: "'gold'"}
"""
RULES = """
repairs:
  - {name: n_from_total, table: order_line, when: quantity IS NULL AND unit_price <> 0, why: x,
     set: {quantity: amount / unit_price}}
  - {name: n_of_one, table: order_line, when: quantity IS NULL AND unit_price >= 0, set: {quantity: 1}, why: x}
  - {name: price_from_n, table: order_line, when: unit_price IS NULL, set: {unit_price: amount / quantity}, why: x}
  - {name: total_from_n, table: order_line, when: amount IS NULL, set: {amount: quantity * unit_price}, why: x}
  - {name: names, table: event, when: "lower(country) LIKE 'de%'", set: {country: "'DE'"}, why: x}
  - {name: not_ours, table: event, sources: [other], when: "true", set: {country: "'XX'"}, why: x}
  - name: city_from_phone
    table: attribute
    when: city IS NULL AND given.phone LIKE '+4930%'
    set: {city: "'Berlin'", district: "IF(given.phone LIKE '+49301%', 'Mitte', NULL)"}
    why: numbers of Berlin begin with 030
outliers:
  - {name: bulk, table: order_line, when: quantity >= 100, why: x}
  - {name: dear, table: order_line, when: unit_price > 50, why: x}
  - {name: unknown_city, table: attribute, when: name = 'city' AND value = 'Nowhere', why: x}
"""
OTHER = SHOP.replace("source: shop", "source: other").replace('"*.json"', '"other/*.json"')


def record(line: int, n: Any, price: Any, total: Any, **more: Any) -> dict[str, Any]:
    given = {"n": n, "price": price, "total": total, **more}
    return {"id": "o1", "line": str(line), "at": "2026-03-01 10:00:00", **given}


RECORDS = [
    record(1, 2, "1.5", "3.0", country="DE"),
    record(2, None, "2.5", "10.0", country="Deutschland"),
    record(3, None, "3.25", None, country="de"),
    record(4, 3, None, "10.0", country="France"),
    record(5, 200, "60", None),
    record(6, None, None, "7.0"),
    record(7, 4, None, None),
    record(8, None, "0", "5.0"),
    {"at": "2026-03-01 10:00:00", "member": "m1", "phone": "030 1234567", "city": " "},
    {"at": "2026-03-01 10:00:00", "member": "m2", "phone": "+49 30 7654321", "city": "Potsdam"},
    {"at": "2026-03-01 10:00:00", "member": "m3", "phone": "0151 23456789"},
    {"at": "2026-03-01 10:00:00", "member": "m4", "phone": "030 7654322", "city": "Nowhere"},
    {"at": "2026-03-01 10:00:00", "member": "m5", "phone": "030 7654323"},
]
# By hand: quantity, unit price, amount, repairs, outliers; lines 6 and 7 lack two of three.
LINES = {
    "1": ("2.000", "1.5000", "3.0000", None, None),
    "2": ("4.000", "2.5000", "10.0000", ["n_from_total"], None),
    "3": ("1.000", "3.2500", "3.2500", ["n_of_one", "total_from_n"], None),
    "4": ("3.000", "3.3333", "10.0000", ["price_from_n"], None),
    "5": ("200.000", "60.0000", "12000.0000", ["total_from_n"], ["bulk", "dear"]),
    "8": ("1.000", "0.0000", "5.0000", ["n_of_one"], None),
}
CITIES = [
    ("m1", "city", "Berlin", ["city_from_phone"], None),
    ("m1", "district", "Mitte", ["city_from_phone"], None),
    ("m2", "city", "Potsdam", None, None),
    ("m4", "city", "Nowhere", None, ["unknown_city"]),
    ("m5", "city", "Berlin", ["city_from_phone"], None),
]


@pytest.fixture
def shop(make_job, tmp_path: Path):
    conf = overlay(tmp_path / "conf", shop=SHOP, other=OTHER)
    (conf / "demo.yaml").write_text(
        "currency: EUR\nphone_region: DE\nsources: [shop, other]\nhash: {key: test}\n"
    )
    (tmp_path / "landing").mkdir()

    def land(lake: str, *parts: list[dict[str, Any]], rules: str = RULES):
        (conf / "repairs.yaml").write_text(rules)
        job = make_job("test", conf=conf, lake=tmp_path / lake)
        for i, part in enumerate(parts):
            text = "".join(json.dumps(r) + "\n" for r in part)
            (tmp_path / "landing" / f"{lake}{i}.json").write_text(text)
            run(job, "01_bronze/ingest")
            run(job, "02_silver/conform")
            (tmp_path / "landing" / f"{lake}{i}.json").unlink()
        if not parts:
            run(job, "02_silver/conform")
        assert job.failures == []
        return job

    return land


def lines(job: Any) -> dict[str, tuple[Any, ...]]:
    frame = job.read("silver.order_line").selectExpr(
        "line_id", "string(quantity)", "string(unit_price)", "string(amount)", "repairs", "outliers"
    )
    return {r[0]: tuple(r[1:]) for r in frame.collect()}


def applied(job: Any) -> list[tuple[Any, ...]]:
    """Rows of the ledger by table and rule, of the batches with the highest number."""
    told = job.read("operations.run").where(f"unit = 'shop' AND run_seq = {job.ledger.last_seq}")
    return sorted(tuple(r) for r in told.selectExpr("inline(applied)").collect())


def silver(job: Any) -> dict[str, list[tuple]]:
    tables = ("silver.order_line", "silver.event", "silver.attribute")
    return {
        t: rows(job.read(t).drop("properties"), *(c for c in contracts.table(t).compared if c != "properties"))
        for t in tables
    }  # fmt: skip


def test_values_are_repaired_marked_counted_and_restated(shop) -> None:
    job = shop("whole", RECORDS)
    assert lines(job) == LINES
    aside = job.read("silver.quarantine").where("target = 'silver.order_line'")
    assert [r[0] for r in rows(aside, "line")] == [6, 7]
    countries = job.read("silver.event").where("country IS NOT NULL OR repairs IS NOT NULL")
    assert rows(countries, "event_id", "country", "repairs") == [
        ("o1-1", "DE", None),  # a value that is right already is not repaired
        ("o1-2", "DE", ["names"]),
        ("o1-3", "DE", ["names"]),
        ("o1-4", "France", None),
    ]
    members = job.read("silver.identifier").where("type = 'member_id'")
    members = members.selectExpr("node_id AS owner_node", "value AS member")
    stated = job.read("silver.attribute").where("name IN ('city', 'district')")
    named = stated.join(members, "owner_node")
    assert rows(named, "member", "name", "value", "repairs", "outliers") == CITIES
    assert applied(job) == [
        ("silver.attribute", "outlier", "unknown_city", 1),
        ("silver.attribute", "repair", "city_from_phone", 3),
        ("silver.event", "repair", "names", 2),
        ("silver.order_line", "outlier", "bulk", 1),
        ("silver.order_line", "outlier", "dear", 1),
        ("silver.order_line", "repair", "n_from_total", 1),
        ("silver.order_line", "repair", "n_of_one", 2),
        ("silver.order_line", "repair", "price_from_n", 1),
        ("silver.order_line", "repair", "total_from_n", 2),
    ]

    # In two deliveries, in another order: the same rows.
    parts = shop("parts", RECORDS[9:] + RECORDS[4:7], RECORDS[7:9] + RECORDS[:4])
    assert silver(parts) == silver(job)
    assert lines(parts) == LINES

    # Another rule, and one taken away: what has landed is conformed again, for this source.
    changed = RULES.replace("set: {quantity: 1}", "set: {quantity: 2}").replace(
        "  - {name: bulk, table: order_line, when: quantity >= 100, why: x}\n", ""
    )
    again = shop("parts", rules=changed)
    assert lines(again) == LINES | {
        "3": ("2.000", "3.2500", "6.5000", ["n_of_one", "total_from_n"], None),
        "5": ("200.000", "60.0000", "12000.0000", ["total_from_n"], ["dear"]),
        "8": ("2.000", "0.0000", "5.0000", ["n_of_one"], None),
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("when: unit_price IS NULL, set", "when: unit_prise IS NULL, set", 6, "it has unit_price, "),
        ("when: quantity >= 100", "when: quantity + 1", 16, "must give BOOLEAN; this one gives DECIMAL"),
        ("set: {quantity: 1}", "set: {quantity: \"'1'\"}", 5, r"give DECIMAL\(18,3\); this one gives STRING"),
        ("quantity * unit_price", "quantity * rand()", 7, "`rand` gives another value each time"),
        ("given.phone LIKE '+4930%'", "given.fone LIKE '+4930%'", 12, "the columns are .*given"),
        ("name = 'city'", "nam = 'city'", 18, "it has name, "),
    ],
)  # fmt: skip
def test_a_wrong_expression_is_refused_with_its_line(
    shop, old: str, new: str, line: int, says: str
) -> None:
    assert old in RULES
    with pytest.raises(ConfigError, match=says) as e:
        shop("wrong", rules=RULES.replace(old, new))
    assert e.value.line == line
