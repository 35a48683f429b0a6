"""Columns of a record are read at once, and are what reading each by itself would give."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakecdp.bronze.mapping import SourceMapping
from lakecdp.silver.typed import together, values

pytestmark = pytest.mark.spark

PATHS = {
    "name": None,
    "ip": "$.properties['$ip']",
    "city": "$.properties.geo.city",
    "dotted": "$['a.b']",
    "quoted": "$['it\\'s']",
    "tick": "$['back`tick']",
    "all_properties": "$.properties",
    "deep": "$.name.first",
    "lower": "$.Key",
    "upper": "$.KEY",
    "item": "$.items[1].sku",
    "again": "$.properties.geo.city",
    "items": None,
}
NESTED = {"all_properties": "variant", "items": "array<struct<sku: string>>"}
MAPPING = SourceMapping.model_validate(
    {
        "source": "s",
        "files": "s/*",
        "format": "json",
        "columns": {
            n: {"type": NESTED.get(n, "string")} | ({"path": p} if p else {})
            for n, p in PATHS.items()
        },
        "targets": [{"table": "product", "columns": {"product_id": "name"}}],
    }
)
FULL = {
    "name": " Ann ",
    "properties": {"$ip": "::1", "geo": {"city": "Rome", "zip": 187}, "$IP": "other"},
    "a.b": "dot",
    "a": {"b": "nested"},
    "it's": True,
    "back`tick": 7,
    "Key": "l",
    "KEY": "u",
    "items": [{"sku": "A"}, {"sku": "B"}],
}
RECORDS: list[Any] = [
    FULL,
    {},
    {"name": None, "properties": None, "items": None},
    {"name": {"first": "Bo"}, "properties": "text", "items": {}},
    {"name": ["x"], "properties": {"geo": "Rome", "$ip": {"v": 6}}, "items": []},
    {"properties": {"geo": {"city": {"en": "Rome"}}}, "items": [1, {"sku": 2}]},
    {"name": "", "properties": {"geo": [{"city": "no"}], "$ip": "  "}},
    "only a text",
    12.5,
    [FULL],
    None,
]
KEYS: dict[str, tuple[str | int, ...]] = {
    "name": ("name",), "ip": ("properties", "$ip"), "city": ("properties", "geo", "city"),
    "dotted": ("a.b",), "quoted": ("it's",), "tick": ("back`tick",),
    "all_properties": ("properties",), "deep": ("name", "first"), "lower": ("Key",),
    "upper": ("KEY",), "item": ("items", 1, "sku"), "again": ("properties", "geo", "city"),
    "items": ("items",),
}  # fmt: skip


def by_hand(record: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        if isinstance(key, int):
            record = record[key] if isinstance(record, list) and len(record) > key else None
        else:
            record = record.get(key) if isinstance(record, dict) else None
    return record


def as_text(value: Any) -> str | None:
    if value is None:
        return None
    plain = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return plain.strip() or None


def test_what_is_read_at_once() -> None:
    kind, places = together(MAPPING)
    assert places.keys() == PATHS.keys() - {"all_properties", "deep", "upper", "item", "again"}
    assert kind == (
        "struct<`name`: string, `properties`: struct<`$ip`: string, `geo`: struct<`city`: string>>, "
        "`a.b`: string, `it's`: string, `back``tick`: string, `Key`: string, `items`: variant>"
    )


def test_records_of_any_shape_give_each_column_as_if_read_alone(spark: SparkSession) -> None:
    rows = [(i, json.dumps(r)) for i, r in enumerate(RECORDS)]
    raw = spark.createDataFrame(rows, "line bigint, text string").selectExpr(
        "'f' AS file", "line", "timestamp'2026-03-01 10:00:00' AS arrived_at",
        "parse_json(text) AS raw",
    )  # fmt: skip
    shown = [f"to_json(`{n}`) AS `{n}`" if n in NESTED else f"`{n}`" for n in PATHS]
    found = values(raw, MAPPING).selectExpr("_line", *shown).collect()
    assert len(found) == len(RECORDS)
    for row in found:
        record = RECORDS[row["_line"]]
        for name, keys in KEYS.items():
            wanted, got = by_hand(record, keys), row[name]
            if name in NESTED:
                assert (None if got in (None, "null") else json.loads(got)) == wanted, (
                    record,
                    name,
                )
            else:
                assert got == as_text(wanted), (record, name)
