"""Epoch numbers in whatever unit senders write them."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from lakecdp.bronze.mapping import SourceMapping
from lakecdp.silver.typed import typed

pytestmark = pytest.mark.spark

MAPPING = SourceMapping.model_validate(
    {
        "source": "s",
        "files": "s/*",
        "format": "json",
        "columns": {
            "any": {"type": "timestamp", "unit": "auto"},
            "ms": {"type": "timestamp", "unit": "ms", "path": "$.any"},
        },
        "targets": [{"table": "product", "columns": {"product_id": "1"}}],
    }
)
CASES = {
    # date -u -d @1772355600.5
    "1772355600": "2026-03-01 09:00:00",
    "1772355600.5": "2026-03-01 09:00:00.5",
    "1772355600500": "2026-03-01 09:00:00.5",
    "1772355600500250": "2026-03-01 09:00:00.50025",
    # the limits: one second below and from where on it is the next unit
    "99999999999": None,
    "100000000000": "1973-03-03 09:46:40",
    "100000000000000": "1973-03-03 09:46:40",
    "-86400": "1969-12-31 00:00:00",
    "soon": None,
}


def test_the_unit_of_an_epoch_number_is_told_by_its_size(spark: SparkSession) -> None:
    raw = spark.createDataFrame(list(enumerate(CASES)), "line bigint, given string").selectExpr(
        "'f' AS file", "line", "timestamp'2026-03-01 10:00:00' AS arrived_at",
        "parse_json(to_json(named_struct('any', given))) AS raw",
    )  # fmt: skip
    found = typed(raw, MAPPING).selectExpr("_line", "cast(any as string) AS any", "_problems")
    rows = {r["_line"]: r for r in found.collect()}
    assert [rows[i]["any"] for i in range(len(CASES))] == list(CASES.values())
    # The year 5138 is in the right unit and no plausible time all the same.
    for i, (given, expected) in enumerate(CASES.items()):
        wrong = f"any: '{given}' is not of type timestamp (s, ms or us since 1970)"
        assert (wrong in (rows[i]["_problems"] or "")) == (expected is None)
