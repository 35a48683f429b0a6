"""Rows written past the JVM are those that Spark reads and goes on with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
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


def test_small_tables_are_read_as_delta_reads_them(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, event = Lake(spark, str(tmp_path / "lake")), contracts.table("silver.event")

    def events(batch: int, *numbers: int) -> DataFrame:
        rows = spark.createDataFrame([(n,) for n in numbers], "n INT")
        given = {
            "event_id": "cast(n as string)",
            "event_date": f"date'2026-01-0{batch}'",
            "event_at": f"timestamp'2026-01-0{batch} 10:00:00'",
            "source": "'app'",
            "channel": "'app'",
            "event_name": f"'step {batch}'",
            "properties": f"parse_json('{{\"batch\": {batch}}}')",
            "_batch": str(batch),
            "identifiers": "array(named_struct('type', 'phone', 'node_id', cast(n as bigint)))",
        }
        return rows.select(
            *(
                F.expr(given.get(c.name, "null")).cast(c.type).alias(c.name)
                for c in event.all_columns
            )
        )

    def whole(frame: DataFrame) -> list[str]:
        return sorted(
            r[0] for r in frame.select(F.to_json(F.struct(*sorted(frame.columns)))).collect()
        )

    def rows_of(frame: DataFrame, key: str, value: str) -> dict[str, str]:
        return {r[0]: r[1] for r in frame.select(key, value).collect()}

    lake.ensure(event)
    lake.append(event, events(1, 1, 2, 3), {})
    lake.append(event, events(2, 4), {})
    lake.merge(event, events(1, 2, 5).withColumn("_batch", F.lit(3).cast("bigint")), {})
    keys = spark.createDataFrame([("3",)], "event_id STRING")
    lake.delete(event, keys, {}, ["event_id"])
    lake.restore(event.name, 2)
    lake.append(event, events(5, 6, 7), {})
    monkeypatch.setattr(lakes, "SMALL_TABLE", 0)
    lake.merge(event, events(5, 6).withColumn("_batch", F.lit(7).cast("bigint")), {})
    monkeypatch.undo()

    last = lake.version(event.name)
    assert last == 7
    plain = [lake._plain(event.name, v) is not None for v in range(last + 1)]
    # Rows that are marked as deleted within their file are told by Delta alone.
    assert plain == [True] * 7 + [False]
    for version in range(last + 1):
        theirs = spark.read.format("delta").option("versionAsOf", version)
        assert whole(lake.read(event.name, version)) == whole(theirs.load(lake.path(event.name)))
    assert len(whole(lake.read(event.name))) == 6
    monkeypatch.setattr(lakes, "FEW_FILES", 0)
    assert lake._plain(event.name, 1) is None
    assert lake._plain(event.name, 0) is not None, "there is no file yet"
    monkeypatch.undo()

    # Columns that no contract knows of, as those of gold.tag_matrix, are there too.
    more = events(1, 9).withColumn("tag", F.lit("new"))
    text = "ALTER TABLE delta.`{}` ADD COLUMNS (tag STRING)"
    spark.sql(text.format(lake.path(event.name)))
    more.write.format("delta").mode("append").save(lake.path(event.name))
    lake.merge(event, more, {}, evolve=True)
    found = lake.read(event.name)
    assert found.columns == spark.read.format("delta").load(lake.path(event.name)).columns
    assert rows_of(found, "event_id", "tag")["9"] == "new"
