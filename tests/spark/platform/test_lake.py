"""Rows written past the JVM are those that Spark reads and goes on with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.platform import lake as lakes
from lakecdp.platform.lake import Lake

LINK = contracts.table("identity.link")
MOMENT = pa.timestamp("us", "UTC")
AT = [datetime(2026, 3, d, 4, 5, 6, 789, tzinfo=UTC) for d in (1, 2, 3)]
ROWS = {
    "node_id": pa.array([7, 5, -(1 << 62)]),
    "customer_id": pa.array([1, 1, 2]),
    "valid_from": pa.array(AT, MOMENT),
    "valid_to": pa.array([None, AT[2], None], MOMENT),
}


def test_rows_added_past_the_jvm_are_those_that_spark_reads(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lakes, "ROWS_PER_FILE", 2)
    lake = Lake(spark, str(tmp_path / "a lake"))
    lake.ensure(LINK)
    start = lake.version(LINK.name)
    assert lake.add(LINK, pa.table(ROWS).slice(0, 0), 8, {}) == 0
    assert lake.version(LINK.name) == start, "nothing to add, no commit"
    backwards = pa.table({k: ROWS[k] for k in reversed(ROWS)})
    assert lake.add(LINK, backwards, 9, {"run_seq": 9}) == 3
    assert lake.last_metadata(LINK.name, "run_seq") == {"run_seq": 9}

    wanted = {
        (7, 1, AT[0], None, 9), (5, 1, AT[1], AT[2], 9), (-(1 << 62), 2, AT[2], None, 9)
    }  # fmt: skip
    found = lake.read(LINK.name)
    moments = [F.unix_micros(c).alias(c) for c in ("valid_from", "valid_to")]
    read = found.select("node_id", "customer_id", *moments, "_batch").collect()
    micros = {(*r[:2], *(t and round(t.timestamp() * 10**6) for t in r[2:4]), r[4]) for r in wanted}
    assert {tuple(r) for r in read} == micros
    files = duckdb.sql(f"SELECT * FROM '{tmp_path}/a lake/identity/link/*.parquet'").fetchall()
    assert {(*r[:2], *(t and t.astimezone(UTC) for t in r[2:4]), r[4]) for r in files} == wanted

    # What was added is skipped, changed and deleted like all other rows.
    stats = [
        json.loads(json.loads(line)["add"]["stats"])
        for line in (tmp_path / f"a lake/identity/link/_delta_log/{1:020d}.json")
        .read_text()
        .splitlines()
        if '"add"' in line
    ]
    assert [s["numRecords"] for s in stats] == [2, 1]
    assert [(s["minValues"]["node_id"], s["maxValues"]["node_id"]) for s in stats] == [
        (5, 7), (-(1 << 62), -(1 << 62))
    ]  # fmt: skip
    assert found.where("node_id = 5").count() == 1
    ended = found.where("node_id = 7").withColumn("valid_to", F.lit(AT[2]))
    assert lake.merge(LINK, ended, {}).updated == 1
    assert lake.read(LINK.name).where("valid_to IS NULL").count() == 1
    assert lake.add(LINK, pa.table(ROWS).slice(0, 1), 10, {}) == 1
    assert lake.read(LINK.name).count() == 4


def test_rows_without_a_value_that_must_be_there_are_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    lake = Lake(spark, str(tmp_path))
    lake.ensure(LINK)
    rows = pa.table({**ROWS, "customer_id": pa.array([1, None, 2], pa.int64())})
    with pytest.raises(ValueError, match=r"identity\.link: customer_id must have a value in each"):
        lake.add(LINK, rows, 1, {})
    assert list((tmp_path / "identity/link").glob("*.parquet")) == []
