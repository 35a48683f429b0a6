"""The ledger says what is published: when it cannot be written, when it is taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from tests.spark.helpers import rows

from lakecdp import contracts
from lakecdp.contracts import TableContract
from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job
from lakecdp.platform.lake import Lake
from lakecdp.platform.ledger import TABLE, LedgerError, newest_first
from lakecdp.platform.part import Unit

PRODUCT = "silver.product"


def products(*ids: str, source: str = "a") -> Callable[[Batch], None]:
    """Work that writes products."""

    def work(batch: Batch) -> None:
        frame = batch.spark.createDataFrame([(i,) for i in ids], "product_id string")
        filled = frame.selectExpr("*", f"'{source}' AS source", "'EUR' AS currency", "1.5 AS price")
        empty = set(contracts.table(PRODUCT).column_names) - set(filled.columns)
        batch.append(PRODUCT, filled.selectExpr("*", *(f"NULL AS {c}" for c in sorted(empty))))

    return work


def do(job: Job, work: Callable[[Batch], None], *units: str) -> Job:
    job.together([Unit(u, outputs=(PRODUCT,)) for u in units or ("a",)], work)
    return job


def ids(job: Job) -> list[str]:
    return [r[0] for r in rows(job.read(PRODUCT), "product_id")]


def test_a_ledger_that_cannot_be_written_publishes_nothing(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, tries = Lake.append, []

    def full(self: Lake, contract: TableContract, frame: DataFrame, meta: Mapping[str, Any]) -> int:
        if contract.name == TABLE:
            tries.append(1)
            raise OSError("no space left on device")
        return whole(self, contract, frame, meta)

    job = make_job("02_silver/conform")
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "append", full)
        with pytest.raises(LedgerError, match="no space left on device"):
            do(job, products("1"), "a", "b")
    assert tries == [1], "not tried again, source by source"
    assert job.ledger.published == {}
    # Nobody but the next process can know whether the commit is there: this one publishes no more.
    with pytest.raises(LedgerError):
        do(job, products("1"))
    assert ids(do(make_job("02_silver/conform"), products("1"))) == ["1"]


def test_the_lake_goes_back_with_its_ledger(make_job: Callable[..., Job]) -> None:
    job = do(make_job("02_silver/conform"), products("1"))
    ledger = DeltaTable.forPath(job.spark, job.lake.path(TABLE))
    first = job.lake.version(TABLE)
    do(job, products("2"))
    assert ids(make_job()) == ["1", "2"]

    ledger.optimize().executeCompaction()
    assert ids(make_job()) == ["1", "2"], "maintenance changes nothing"
    ledger.restoreToVersion(first)
    back = make_job("02_silver/conform")
    assert ids(back) == ["1"]
    assert ids(do(back, products("3"))) == ["1", "3"]
    assert ids(make_job()) == ["1", "3"]


def test_a_column_that_a_contract_gains_is_added(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contracts.table
    now = whole(PRODUCT)
    before = replace(now, columns=tuple(c for c in now.columns if c.name != "brand"))
    with monkeypatch.context() as patch:
        patch.setattr(contracts, "table", lambda n: before if n == PRODUCT else whole(n))
        job = do(make_job("02_silver/conform"), products("1"))
        assert "brand" not in job.read(PRODUCT).columns

    later = make_job("02_silver/conform")
    assert rows(later.read(PRODUCT), "product_id", "brand") == [("1", None)]

    def branded(batch: Batch) -> None:
        known = batch.read(PRODUCT)
        batch.upsert(PRODUCT, known.selectExpr("* EXCEPT (brand)", "'Acme' AS brand"))

    do(later, branded)
    assert later.failures == []
    assert rows(make_job().read(PRODUCT), "product_id", "brand") == [("1", "Acme")]


def test_only_the_part_whose_table_is_doubtful_is_warned(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakecdp.platform import quality

    def doubtful(found: Any, table: str, _: DataFrame) -> None:
        failed = [{"sentence": "few brands"}] if table == PRODUCT else []
        found.gate_results.append({"table": table, "failed": failed})

    monkeypatch.setattr(quality, "gate", doubtful)
    job = make_job("02_silver/conform")

    def work(batch: Batch) -> None:
        products("1")(batch)
        frame = batch.spark.sql("SELECT 'silver.event' AS target")
        empty = set(contracts.table("silver.vacated").column_names) - {"target"}
        batch.append("silver.vacated", frame.selectExpr("*", *(f"NULL AS {c}" for c in empty)))

    job.together([Unit("a", outputs=(PRODUCT,)), Unit("b", outputs=("silver.vacated",))], work)
    assert [(s.unit, s.outcome, s.message) for s in job.summaries] == [
        ("a", "warned", "few brands"), ("b", "published", None),
    ]  # fmt: skip


def test_whoever_wants_to_stop_is_not_given_another_batch(make_job: Callable[..., Job]) -> None:
    job, tries = make_job("02_silver/conform"), []

    def work(batch: Batch) -> None:
        tries.append(batch.seq)
        job.ledger.stop.asked = True
        raise RuntimeError("Job 7 cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        do(job, work, "a", "b")
    assert tries == [1]
    told = job.read(TABLE).select("unit", "outcome")
    assert rows(told, "unit", "outcome") == [("a", "failed"), ("b", "failed")]


def test_what_was_published_last_is_last_whatever_clock_and_number_say(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("02_silver/conform")
    # The batch that begins first publishes last.
    with job.batch("a", outputs=[PRODUCT]) as first:
        products("1")(first)
        with job.batch("b", outputs=["silver.vacated"]) as second:
            frame = second.spark.sql("SELECT 'silver.event' AS target")
            empty = set(contracts.table("silver.vacated").column_names) - {"target"}
            second.append("silver.vacated", frame.selectExpr("*", *(f"NULL AS {c}" for c in empty)))
    ledger = DeltaTable.forPath(job.spark, job.lake.path(TABLE))
    # Without the note in the last commit, the rows say it.
    ledger.restoreToVersion(job.lake.version(TABLE))
    back = make_job("02_silver/conform")
    assert back.ledger.last_seq == 2
    assert back.ledger.published == job.ledger.published
    assert ids(back) == ["1"]

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2020, 1, 1, tzinfo=tz)

    monkeypatch.setattr("lakecdp.platform.ledger.datetime", Earlier)
    do(back, products("2"))
    last = newest_first(back.read(TABLE)).first()
    assert last is not None
    assert last["run_seq"] == 3
