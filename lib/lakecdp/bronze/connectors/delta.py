"""Delta tables that others write: what was added since the version that was read last."""

from __future__ import annotations

from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.bronze.connectors.config import DeltaInput
from lakecdp.bronze.connectors.overlap import Landed, news, placed
from lakecdp.bronze.connectors.pull import Position, Pull, as_text, fixed, numbered, pull_name
from lakecdp.platform.commits import Appended, appended, commit_name
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.fs import java_message, list_names, read_text
from lakecdp.platform.lake import delta_version

FEED, CHANGE = "delta.enableChangeDataFeed", "_change_type"
FEW = 1000
"""So many names of files stand in a condition; more are joined."""


def pull(spark: SparkSession, config: DeltaInput, position: Position, landed: Landed) -> Pull:
    """The rows that came into the table since the last pull.

    The first pull takes the table as it is. Later ones take the files that were appended, or, where
    rows were rewritten, the inserted and updated rows of the change data feed; without a feed all
    rows are compared by key with what has landed. Deletions are told, and not followed.

    Args:
        spark: the session.
        config: the table.
        position: of the last pull.
        landed: see `overlap.news`.

    Raises:
        LakecdpError: there is no such table, its history is gone, or its changes cannot be told.
    """
    detail = _detail(spark, config.table)
    path, identity = str(detail["location"]), str(detail["id"])
    version = delta_version(spark, path)
    number = int(position.get("pull", 0)) + 1
    same = position.get("of") == identity
    told: Position = {"of": identity, "version": version, "pull": number}
    place = pull_name(number, f"{path.rstrip('/').rsplit('/', 1)[-1]}@v{version}")
    if not same:
        rows = fixed(as_text(_at(spark, path, version)))
        return _given(rows, told, place)
    since = int(position["version"])
    if version == since:
        return Pull(None, position)
    if version < since:
        raise LakecdpError(f"{config.place} is at version {version}, and {since} was read before")
    return _changes(spark, config, detail, since, told, place, landed)


def _changes(
    spark: SparkSession,
    config: DeltaInput,
    detail: dict[str, Any],
    since: int,
    told: Position,
    place: str,
    landed: Landed,
) -> Pull:
    path, version = str(detail["location"]), int(told["version"])
    found = _log(spark, path, since, version)
    if found is not None and not found.rewritten:
        if not found.files:
            return Pull(None, told | {"pull": told["pull"] - 1})
        # As text one by one: the table may have gained columns from one version to the next.
        parts = [as_text(_of_files(spark, path, at, new)) for at, new in found.files.items()]
        return _given(fixed(reduce(DataFrame.unionByName, parts)), told, place)
    if detail["properties"].get(FEED) == "true":
        feed = (
            spark.read.format("delta")
            .option("readChangeFeed", True)
            .option("startingVersion", since + 1)
            .option("endingVersion", version)
            .load(path)
        )
        try:
            seen = fixed(as_text(feed.drop("_commit_version", "_commit_timestamp"), CHANGE))
        except Exception as e:
            raise LakecdpError(f"{config.place}: its change feed: {java_message(e)}") from None
        gone = seen.where(f"{CHANGE} = 'delete'").count()
        given = _given(
            seen.where(f"{CHANGE} IN ('insert', 'update_postimage')").select("value"),
            told,
            place,
        )
        if gone:
            given.notes.append(f"{gone:,} deleted rows of {config.table} stay as they landed")
        return given
    if config.key:
        rows = as_text(_at(spark, path, version)).withColumn("order", F.lit(0))
        fresh, read = news(rows, landed(1), config.key, last_wins=False)
        count = fresh.count()
        ready = placed(fresh, told["pull"], place.split("/", 1)[1]) if count else None
        after = told if count else told | {"pull": told["pull"] - 1}
        return Pull(ready, after, count, again=read - count, bytes=int(detail["sizeInBytes"]))
    why = "its log no longer tells" if found is None else "rows were rewritten"
    raise LakecdpError(
        f"{config.place}: between versions {since} and {version} {why}: turn on {FEED} for it, or "
        "name the columns that tell rows apart as `key`"
    )


def _given(rows: DataFrame, told: Position, place: str) -> Pull:
    count = rows.count()
    if not count:
        return Pull(None, told | {"pull": told["pull"] - 1})
    return Pull(numbered(rows, place), told, count, bytes=count * 200)


def _detail(spark: SparkSession, table: str) -> dict[str, Any]:
    name = f"delta.`{table}`" if "/" in table else table
    try:
        row = spark.sql(f"DESCRIBE DETAIL {name}").first()
    except Exception as e:
        raise LakecdpError(f"the Delta table {table} cannot be opened: {java_message(e)}") from None
    assert row is not None
    if row["format"] != "delta":
        raise LakecdpError(f"{table} is no Delta table but {row['format']}")
    return row.asDict()


def _at(spark: SparkSession, path: str, version: int) -> DataFrame:
    return spark.read.format("delta").option("versionAsOf", version).load(path)


def _log(spark: SparkSession, path: str, since: int, version: int) -> Appended | None:
    """What the commits after a version did; None where they are gone."""
    log = f"{path}/_delta_log"
    names = {v: commit_name(v) for v in range(since + 1, version + 1)}
    if not set(names.values()) <= set(list_names(spark, log)):
        return None
    return appended((v, read_text(spark, f"{log}/{n}")) for v, n in names.items())


def _of_files(spark: SparkSession, path: str, version: int, files: list[str]) -> DataFrame:
    """The rows of some data files, by way of the table: partitions and names of columns are its."""
    table, names = _at(spark, path, version), [f.rsplit("/", 1)[-1] for f in files]
    if len(names) <= FEW:
        return table.where(F.col("_metadata.file_name").isin(names))
    wanted = spark.createDataFrame([(n,) for n in names], "_file string")
    named = table.withColumn("_file", F.col("_metadata.file_name"))
    return named.join(F.broadcast(wanted), "_file", "left_semi").drop("_file")
