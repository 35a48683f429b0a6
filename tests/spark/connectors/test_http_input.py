"""An API on a real HTTP server: what is new lands once, whatever overlaps or shifts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.spark.connectors.api import TOKEN, Shop, serve
from tests.spark.helpers import overlay, rows, run

MAPPING = """
source: orders
http:
  url: {url}/v1/cursor
  token_env: SHOP_TOKEN
  records: data.items
  page: {{by: cursor, parameter: cursor, path: meta.cursor}}
  key: id
  watermark: updated
  overlap: 1d
  since: since
columns:
  id: {{type: string, required: true}}
  updated: {{type: timestamp, required: true}}
  price: {{type: "decimal(18,4)"}}
targets:
  - table: order_line
    columns: {{order_id: id, line_id: "'1'", ordered_at: updated, unit_price: price}}
"""


def test_new_and_changed_records_land_once(make_job, tmp_path: Path, monkeypatch) -> None:
    from lakecdp.platform.ledger import Ledger

    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    with serve(Shop()) as shop:
        overlay(tmp_path / "conf", orders=MAPPING.format(url=shop.url))

        def land():
            job = make_job(conf=tmp_path / "conf")
            (summary,) = run(job, "01_bronze/ingest")
            return job, summary

        assert land()[1].outcome == "unchanged"
        for n in range(1, 6):
            shop.put(n, f"2026-03-0{n}T00:00:00Z")
        # A page that shifts while it is read gives a record twice.
        shop.orders.insert(3, shop.orders[2])
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "publish", _die)
            with pytest.raises(KeyboardInterrupt):
                land()
        job, first = land()
        assert (first.rows_in, first.rows_out, first.rows_duplicate) == (6, 5, 1)
        raw = job.read("bronze.orders").where("raw:id::int = 1").selectExpr("to_json(raw)", "file")
        ((text, file),) = rows(raw, *raw.columns)
        whole = {"id": 1, "n": {"b": 1}, "price": 1.1, "updated": "2026-03-01T00:00:00Z"}
        assert (json.loads(text), file) == (whole, "pull-00000001/v1.cursor")
        before = dict(job.ledger.published)
        job, same = land()
        assert (same.outcome, job.ledger.published) == ("unchanged", before)
        # A day before the highest watermark.
        assert shop.asked[-1]["since"] == "2026-03-04T00:00:00Z"

        shop.put(6, "2026-03-04T12:00:00Z")
        shop.put(5, "2026-03-06T00:00:00Z", "2.5")
        job, second = land()
        # Read again: 4 and 5 as they were; 5 in its later state, and 6, which is late, are new.
        assert (second.rows_in, second.rows_out, second.rows_duplicate) == (4, 2, 2)
        found = job.read("bronze.orders").selectExpr("raw:id::int id", "raw:price::double price")
        assert rows(found, "id", "price") == [
            (1, 1.1), (2, 1.1), (3, 1.1), (4, 1.1), (5, 1.1), (5, 2.5), (6, 1.1),
        ]  # fmt: skip
        assert not (tmp_path / "lake" / "_pulled" / "orders").exists()

        shop.failures = [(403, {})]
        job, failed = land()
        assert failed.outcome == "failed"
        assert job.failures == [f"source orders: {shop.url}/v1/cursor answers 403 Forbidden"]


def _die(*_args) -> None:
    raise KeyboardInterrupt
