"""Rows written past the JVM are those that Spark reads and goes on with."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.platform import commits, local_writes
from lakecdp.platform import lake as lakes
from lakecdp.platform.lake import Lake
from lakecdp.platform.merging import Merge

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
    monkeypatch.setattr(local_writes, "ROWS_PER_FILE", 2)
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
    assert lake.merge(LINK, ended, {}, Merge()).updated == 1
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


EDGE = contracts.table("identity.edge")


def edge_rows(*rows: tuple[int, int, str, str, int | None]) -> pa.Table:
    """Node, other node, source, target, weight."""
    texts = {c.name: "x" for c in EDGE.columns if c.type == "STRING" and c.required}
    columns = {
        "node_a": pa.array([r[0] for r in rows], pa.int64()),
        "node_b": pa.array([r[1] for r in rows], pa.int64()),
        "source": pa.array([r[2] for r in rows], pa.string()),
        "target": pa.array([r[3] for r in rows], pa.string()),
        "weight": pa.array([r[4] for r in rows], pa.float64()),
    }
    for c in EDGE.columns:
        if c.name not in columns:
            columns[c.name] = (
                pa.array([texts[c.name]] * len(rows))
                if c.name in texts
                else pa.nulls(len(rows), pa.string() if c.type == "STRING" else MOMENT)
            )
    return pa.table(columns)


@pytest.mark.parametrize("small", [True, False], ids=["written anew", "marked"])
def test_rows_put_past_the_jvm_replace_and_delete_by_key(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    monkeypatch.setattr(local_writes, "ROWS_PER_FILE", 40)
    if not small:
        for module in (lakes, local_writes):
            monkeypatch.setattr(module, "SMALL_TABLE", 0)
    dice, lake = random.Random(4), Lake(spark, str(tmp_path / "a lake"))
    lake.ensure(EDGE)
    held: dict[tuple[int, int, str, str], tuple[float | None, int]] = {}
    versions: dict[int, dict[tuple[int, int, str, str], tuple[float | None, int]]] = {}
    none = edge_rows().select([*EDGE.key])

    def key() -> tuple[int, int, str, str]:
        return dice.randrange(30), dice.randrange(3), dice.choice("ab"), dice.choice("ab")

    for batch in range(1, 7):
        # The last batch takes away all that is left, so that files go as a whole.
        fresh = {key(): dice.choice([None, batch / 2]) for _ in range(100 if batch < 6 else 0)}
        known = sorted(held.keys() - fresh.keys())
        gone = known if batch == 6 else dice.sample(known, len(known) // 5)
        gone_rows = edge_rows(*((*k, None) for k in gone)).select([*EDGE.key]) if gone else none
        rows = edge_rows(*((*k, w) for k, w in fresh.items()))
        counts = lake.put(EDGE, rows, gone_rows, batch, {"run_seq": batch})
        assert counts is not None
        assert counts.inserted == len(fresh.keys() - held.keys())
        assert (counts.updated, counts.deleted) == (len(fresh.keys() & held.keys()), len(gone))
        held = {k: v for k, v in held.items() if k not in set(gone)}
        held |= {k: (w, batch) for k, w in fresh.items()}
        versions[lake.version(EDGE.name) or 0] = dict(held)
        assert lake.last_metadata(EDGE.name, "run_seq") == {"run_seq": batch}
        new = lake.read_added(EDGE.name, (lake.version(EDGE.name) or 0) - 1)
        assert new.where(F.col("_batch") == batch).count() == len(fresh)
        asked = pa.array([1, 5, 99])
        if batch == 3:
            # Spark writes times in another way than this process does.
            extra = (31, 1, "a", "b")
            frame = spark.createDataFrame(
                edge_rows((*extra, 1.5)).append_column("_batch", pa.array([batch]))
            )
            lake.append(EDGE, frame.withColumn("first_seen", F.lit(AT[0])), {"run_seq": batch})
            held[extra] = (1.5, batch)
            versions[lake.version(EDGE.name) or 0] = dict(held)
            times = lake.arrow(EDGE.name, ["node_a", "first_seen"]).to_pylist()
            assert [r["first_seen"] for r in times if r["node_a"] == 31] == [AT[0]]
        with monkeypatch.context() as patched:
            if batch == 4:
                # Where commits are many, or gone, Delta says which files there are.
                patched.setattr(commits, "MANY_COMMITS", 0)
            found = lake.among(EDGE.name, ["node_b", "source", "target"], "node_a", asked, None)
        by_hand = sorted(k[1:] for k in held if k[0] in (1, 5))
        assert sorted(tuple(r.values()) for r in found.to_pylist()) == by_hand

    assert len(versions) == 7
    for version, rows in versions.items():
        # Delta itself reads what the table held at each version.
        reader = spark.read.format("delta").option("versionAsOf", version)
        read = reader.load(lake.path(EDGE.name)).select(*EDGE.key, "weight", "_batch").collect()
        assert {tuple(r)[:4]: tuple(r)[4:] for r in read} == rows
        assert len(read) == len(rows)
        whole = lake.arrow(EDGE.name, [*EDGE.key, "weight", "_batch"], version)
        told = {tuple(r.values())[:4]: tuple(r.values())[4:] for r in whole.to_pylist()}
        assert told == rows
        if version == max(versions) - 1:
            sevens = reader.load(lake.path(EDGE.name)).where("node_a = 7")
            assert sevens.count() == sum(k[0] == 7 for k in rows), "files are skipped rightly"
    last = max(versions)
    lake.restore(EDGE.name, last - 1)
    keys = spark.createDataFrame([(7,)], "node_a BIGINT")
    lake.delete(EDGE, keys, {}, ["node_a"])
    after = {k: v for k, v in versions[last - 1].items() if k[0] != 7}
    whole = lake.arrow(EDGE.name, [*EDGE.key, "weight", "_batch"])
    told = {tuple(r.values())[:4]: tuple(r.values())[4:] for r in whole.to_pylist()}
    assert told == after, "rows that Delta marks as deleted are passed over"
    assert len(whole) == len(after)


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
    lake.merge(event, events(1, 2, 5).withColumn("_batch", F.lit(3).cast("bigint")), {}, Merge())
    keys = spark.createDataFrame([("3",)], "event_id STRING")
    lake.delete(event, keys, {}, ["event_id"])
    lake.restore(event.name, 2)
    lake.append(event, events(5, 6, 7), {})
    monkeypatch.setattr(lakes, "SMALL_TABLE", 0)
    lake.merge(event, events(5, 6).withColumn("_batch", F.lit(7).cast("bigint")), {}, Merge())
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
    lake.merge(event, more, {}, Merge(), evolve=True)
    found = lake.read(event.name)
    assert found.columns == spark.read.format("delta").load(lake.path(event.name)).columns
    assert rows_of(found, "event_id", "tag")["9"] == "new"
