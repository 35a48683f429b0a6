"""Accounts of a batch: right when a table gets nothing, and failing when a record is lost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from tests.spark.helpers import overlay, rows, run

from lakecdp.bronze import records
from lakecdp.silver import conform

SHOP = """
source: shop
files: "shop*.json*"
format: json
columns: {id: string, at: timestamp, what: {type: string, required: true}, name: string}
otherwise: quarantine
targets:
  - table: event
    where: what = 'event'
    columns: {event_id: id, event_at: at, event_name: name}
  - table: product
    where: what = 'product'
    columns: {product_id: id, name: name}
"""
APP = SHOP.replace("source: shop", "source: app").replace("shop*", "app*")


@pytest.fixture
def adaptive(spark: SparkSession) -> Iterator[None]:
    """Adaptive execution, which drops what gives no row, as it is in production."""
    before = str(spark.conf.get("spark.sql.adaptive.enabled"))
    spark.conf.set("spark.sql.adaptive.enabled", "true")
    yield
    spark.conf.set("spark.sql.adaptive.enabled", before)


@pytest.fixture
def land(make_job, tmp_path: Path):
    """Land files and conform them; the job, and the accounts by unit and target."""
    conf = overlay(tmp_path / "conf", shop=SHOP, app=APP)
    landing = tmp_path / "landing"
    landing.mkdir()

    def land(**files: list[dict[str, str]]):
        for name, given in files.items():
            (landing / f"{name}.json").write_text("".join(json.dumps(r) + "\n" for r in given))
        job = make_job("test", conf=conf)
        run(job, "01_bronze/ingest")
        run(job, "02_silver/conform")
        told = job.read("operations.run").where("outcome <> 'unchanged'")
        last = told.where(f"run_seq = {job.ledger.last_seq}")
        accounts = {
            (r[0], r[1]): tuple(r[2:]) for r in last.selectExpr("unit", "inline(balance)").collect()
        }
        return job, accounts

    return land


def record(what: str, number: int, **more: str) -> dict[str, str]:
    return {"id": str(number), "at": "2026-01-01 10:00:00", "what": what, "name": "x", **more}


def test_a_table_that_gets_nothing_has_its_account(adaptive: None, land: Any) -> None:
    # No product at all, no event that can be kept, and one record that nobody takes.
    bad = [{k: v for k, v in record("event", n).items() if k != "name"} for n in (1, 2)]
    # Of two sources, so that rows are dealt to tasks anew and a stage may be dropped.
    job, accounts = land(shop1=[bad[0], record("else", 3)], app0=[bad[1]])
    assert job.failures == []
    assert accounts == {
        ("shop", "records"): (2, 1, 0, 1),
        ("shop", "silver.event"): (1, 0, 0, 1),
        ("shop", "silver.product"): (0, 0, 0, 0),
        ("app", "records"): (1, 1, 0, 0),
        ("app", "silver.event"): (1, 0, 0, 1),
        ("app", "silver.product"): (0, 0, 0, 0),
    }
    assert job.read("silver.quarantine").count() == 3

    # Both tables are there now, and again one of them gets nothing.
    job, accounts = land(shop2=[record("product", 1)], app1=[record("product", 2), record("x", 3)])
    assert job.failures == []
    assert accounts == {
        ("shop", "records"): (1, 1, 0, 0),
        ("shop", "silver.event"): (0, 0, 0, 0),
        ("shop", "silver.product"): (1, 1, 0, 0),
        ("app", "records"): (2, 1, 0, 1),
        ("app", "silver.event"): (0, 0, 0, 0),
        ("app", "silver.product"): (1, 1, 0, 0),
    }
    job, accounts = land(shop3=[record("event", n) for n in (4, 5, 5)])
    assert job.failures == []
    assert accounts["shop", "silver.event"] == (3, 2, 1, 0)
    assert accounts["shop", "silver.product"] == (0, 0, 0, 0)


def test_a_compressed_file_without_a_line_lands_as_nothing(
    adaptive: None, land: Any, tmp_path: Path
) -> None:
    (tmp_path / "landing" / "shop0.json.gz").write_bytes(gzip.compress(b""))
    job, _ = land(shop1=[record("event", 1)])
    assert job.failures == []
    assert rows(job.read("bronze.landed_file"), "file", "records") == [
        ("shop0.json.gz", 0), ("shop1.json", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "name", "kept"),
    [(records, "parse_json", "line <> 2"), (conform, "prepared", "_line <> 2")],
)
def test_a_lost_record_fails_the_batch(
    land: Any, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, kept: str
) -> None:
    whole = getattr(module, name)

    def losing(frame: DataFrame, source: Any) -> DataFrame:
        found: DataFrame = whole(frame, source)
        return found.where(kept)

    monkeypatch.setattr(module, name, losing)
    job, _ = land(shop1=[record("event", n) for n in (1, 2, 3)])
    assert len(job.failures) == 1
    assert "rows do not balance" in job.failures[0]
    assert job.read("silver.event").count() == 0
