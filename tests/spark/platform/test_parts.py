"""One batch for several parts: published together, and failing apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from tests.spark.helpers import rows

from lakecdp.platform import datafiles
from lakecdp.platform import lake as lakes
from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job
from lakecdp.platform.merging import MergeCounts
from lakecdp.platform.part import Unit

PRODUCT, LINK = "silver.product", "identity.link"


def test_one_commit_publishes_all_parts_and_a_bad_one_fails_alone(
    spark: SparkSession, make_job: Callable[..., Job]
) -> None:
    job = make_job("02_silver/conform")
    given = {"a": ["1", "2"], "b": ["3"], "idle": []}

    def units() -> list[Unit]:
        return [Unit(n, outputs=(PRODUCT,), idle=not ids) for n, ids in given.items()]

    def work(batch: Batch) -> None:
        for part in batch.at_work:
            ids = given[part.unit.name]
            frame = spark.createDataFrame([(i, part.unit.name) for i in ids], "i string, s string")
            columns = ("i AS product_id", "s AS source", "'EUR' AS currency", "1.5 AS price")
            missing = (
                "name",
                "category",
                "brand",
                "cost",
                "_version_at",
                "_content",
                "_arrived_at",
            )
            batch.append(PRODUCT, frame.selectExpr(*columns, *(f"NULL AS {n}" for n in missing)))
            part.balance(PRODUCT, rows_in=len(ids), rows_out=len(ids))
            part.count(rows_in=len(ids), rows_out=len(ids))

    job.together(units(), work)
    ledger = ("run_seq", "unit", "outcome", "rows_out")
    assert rows(job.read("operations.run"), *ledger) == [
        (1, "a", "published", 2),
        (1, "b", "published", 1),
        (1, "idle", "unchanged", None),
    ]
    assert job.lake.version("operations.run") == 1  # created, and one commit for three parts

    # `b` now gives one product twice, which no gate lets pass.
    given |= {"a": ["4"], "b": ["5", "5"]}
    again = make_job("02_silver/conform")
    again.together(units(), work)
    assert rows(again.read(PRODUCT), "product_id", "source") == [
        ("1", "a"), ("2", "a"), ("3", "b"), ("4", "a"),
    ]  # fmt: skip
    (said,) = again.failures
    assert said.startswith("source b: silver.product: product_id must be unique")
    assert [(s.unit, s.outcome) for s in again.summaries] == [("a", "published"), ("b", "failed")]
    tried = again.read("operations.run").where("run_seq > 1")
    assert [(s, u, o) for s, u, o, _ in rows(tried, *ledger)] == [
        (2, "a", "failed"),
        (2, "b", "failed"),
        (2, "idle", "unchanged"),
        (3, "a", "published"),
        (4, "b", "failed"),
    ]


@pytest.mark.parametrize("files", [True, False], ids=["by files", "by spark"])
def test_rows_are_asked_for_and_put_either_way(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, files: bool
) -> None:
    if not files:
        # As where the lake is in an object store.
        monkeypatch.setattr(lakes, "possible", lambda *_: False)
        monkeypatch.setattr(datafiles.FileIndex, "of", lambda *_: None)
    moment = pa.timestamp("us", "UTC")
    day = [datetime(2026, 1, d, tzinfo=UTC) for d in (1, 2, 3)]

    def links(*given: tuple[int, int, int, int | None]) -> pa.Table:
        node, customer, begun, ended = zip(*given, strict=True)
        return pa.table(
            {
                "node_id": pa.array(node, pa.int64()),
                "customer_id": pa.array(customer, pa.int64()),
                "valid_from": pa.array([day[d] for d in begun], moment),
                "valid_to": pa.array([None if d is None else day[d] for d in ended], moment),
            }
        )

    def found(table: pa.Table) -> list[tuple[int, int, int, int | None]]:
        told = [
            (r["node_id"], r["customer_id"], r["valid_from"], r["valid_to"])
            for r in table.to_pylist()
        ]
        return sorted(
            ((n, c, day.index(a), None if b is None else day.index(b)) for n, c, a, b in told),
            key=repr,
        )

    def asked(batch: Batch, *nodes: int) -> list[tuple[int, int, int, int | None]]:
        columns = ("node_id", "customer_id", "valid_from", "valid_to")
        return found(batch.among(LINK, columns, "node_id", pa.array(nodes, pa.int64())))

    def run(
        *given: tuple[int, int, int, int | None], gone: Sequence[tuple[int, int, int, None]] = ()
    ) -> MergeCounts:
        with make_job("03_identity/resolve").batch_of([Unit("", [], [LINK])]) as batch:
            assert asked(batch, 1, 3, 9) == seen, "what is published, whatever this batch does"
            return batch.put(LINK, links(*given), links(*gone) if gone else None)

    seen: list[tuple[int, int, int, int | None]] = []
    assert run((1, 7, 0, None), (2, 7, 0, None), (3, 8, 0, None)).inserted == 3
    seen = [(1, 7, 0, None), (3, 8, 0, None)]
    assert run((3, 8, 0, 1), (3, 7, 1, None)) == MergeCounts(1, 1, 0)
    seen = [(1, 7, 0, None), (3, 7, 1, None), (3, 8, 0, 1)]
    with pytest.raises(RuntimeError, match="by chance"):
        failing(make_job("03_identity/resolve"), links((1, 9, 0, None)))
    assert run((9, 9, 2, None), gone=[(1, 7, 0, None)]) == MergeCounts(1, 0, 1)
    seen = [(3, 7, 1, None), (3, 8, 0, 1), (9, 9, 2, None)]
    assert run((9, 9, 2, None)).written == 1
    last = make_job("03_identity/resolve").read(LINK)
    assert found(last.drop("_batch").toArrow()) == [(2, 7, 0, None), *seen]


def failing(job: Job, rows: pa.Table) -> None:
    with job.batch_of([Unit("", [], [LINK])]) as batch:
        batch.put(LINK, rows)
        raise RuntimeError("by chance")
