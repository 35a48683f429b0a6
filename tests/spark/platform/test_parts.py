"""One batch for several parts: published together, and failing apart."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import SparkSession
from tests.spark.helpers import rows

from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job
from lakecdp.platform.part import Unit

PRODUCT = "silver.product"


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
