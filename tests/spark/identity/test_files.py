"""Tables read by their files give what Spark reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.identity.evidence import in_force
from lakecdp.identity.files import Files
from lakecdp.identity.numbers import evidence_rows, link_arrays, node_arrays
from lakecdp.platform import lake as platform_lake
from lakecdp.platform.lake import Lake

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAMES = ("member_id", "phone")


def write(lake: Lake, table: str, rows: list[dict[str, object]]) -> None:
    contract = contracts.table(table)
    lake.ensure(contract)
    ddl = ", ".join(f"{c.name} {c.type}" for c in contract.all_columns)
    names = [c.name for c in contract.all_columns]
    frame = lake.spark.createDataFrame([tuple(r.get(n) for n in names) for r in rows], ddl)
    lake.append(contract, frame, {})


def as_rows(table: pa.Table) -> list[tuple[object, ...]]:
    plain = [table.column(c).to_pylist() for c in table.column_names]
    return sorted(zip(*plain, strict=True), key=repr)


def same(found: pa.Table | None, frame: DataFrame) -> bool:
    assert found is not None
    return as_rows(found.select(frame.columns)) == as_rows(frame.toArrow())


def test_files_give_what_spark_reads(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(spark, str(tmp_path / "the lake"))
    targets = ["silver.event", "silver.attribute", "identity.decision", "identity.match"]
    for part in range(2):
        edges = [
            {
                "node_a": i, "node_b": i + 1, "source": f"s{i % 3}{part}", "target": targets[i % 4],
                "type_a": "member_id", "type_b": "phone", "status": "removed" if i == 7 else "active",
                "reason": "veto:member_id" if i % 5 == part else None,
                "weight": None if i % 6 == 0 else i / 40,
                "first_seen": None if i % 7 == 0 else START + timedelta(microseconds=i),
                "last_seen": None if i % 7 == 0 else START + timedelta(days=i),
                "evidence": "e", "_batch": 1,
            }
            for i in range(part * 20, part * 20 + 20)
        ]  # fmt: skip
        write(lake, "identity.edge", edges)
    nodes = [
        {"node_id": i, "type": ["member_id", "phone", "fax"][i % 3], "status": "limit", "_batch": 1,
         "first_seen": None if i % 2 else START}
        for i in range(30)
    ]  # fmt: skip
    write(lake, "identity.node", nodes)
    files = Files(lake.arrow, np.array([3, 4, 99]))
    edge = in_force(lake.read("identity.edge")).withColumn("_changed", F.lit(False))
    assert same(files.edges(), evidence_rows(edge))
    judged = F.when(F.col("node_id").isin(3, 4, 99), "junk")
    node = lake.read("identity.node").withColumn("status", judged)
    assert same(files.nodes(NAMES), node_arrays(node, NAMES))

    assert lake.arrow("identity.edge", ["node_a", "no_such"]) is None
    first = lake.arrow("identity.edge", ["node_a"], version=1)
    assert first is not None
    assert len(first) == 20
    contract = contracts.table("identity.edge")

    def without(node: int) -> None:
        lake.delete(contract, spark.createDataFrame([(node,)], "node_a BIGINT"), {}, ["node_a"])

    without(5)
    edge = in_force(lake.read("identity.edge")).withColumn("_changed", F.lit(False))
    assert same(files.edges(), evidence_rows(edge)), "the files of a small table are written anew"
    monkeypatch.setattr(platform_lake, "SMALL_TABLE", 0)
    without(3)
    edge = in_force(lake.read("identity.edge")).withColumn("_changed", F.lit(False))
    assert same(files.edges(), evidence_rows(edge)), "a row is marked as deleted in its file"
    assert files.links() is None, "no such table yet"
    lake.ensure(contracts.table("identity.link"))
    assert same(files.links(), link_arrays(lake.read("identity.link"))), "no row at all"
    links = [
        {"node_id": i, "customer_id": i // 2, "valid_from": START, "valid_to": START if i % 2 else None,
         "_batch": 1}
        for i in range(4)
    ]  # fmt: skip
    write(lake, "identity.link", links)
    assert same(files.links(), link_arrays(lake.read("identity.link")))
    assert files.links().column("open").to_pylist() == [True, False] * 2
