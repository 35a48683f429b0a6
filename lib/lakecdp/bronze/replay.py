"""Records that bronze could not read are tried again with the mapping of now."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.bronze import records
from lakecdp.bronze.mapping import Source
from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job

QUARANTINE, FILES = "silver.quarantine", "bronze.landed_file"


def replay(job: Job, source: Source) -> None:
    """Take the readable ones of a source's refused records into bronze, and forget refused files.

    A file that was refused as a whole is tried again by the next ingest. Records refused by silver
    need nothing here: a changed mapping conforms its source anew.
    """
    mapping = source.mapping
    refused = job.read(QUARANTINE).where(
        (F.col("source") == mapping.source)
        & (F.col("status") == "open")
        & (F.col("target") == "bronze")
    )
    if refused.isEmpty():
        return
    with job.batch(mapping.source, outputs=[mapping.bronze, QUARANTINE, FILES]) as batch:
        _replay(batch, source, refused.drop("_batch").persist())


def _replay(batch: Batch, source: Source, refused: DataFrame) -> None:
    mapping = source.mapping
    keys = ["file", "line"]
    # The first record of a Kafka partition has the offset 0.
    whole = refused.where("raw IS NULL")
    single = refused.where("raw IS NOT NULL")
    parsed = _parsed(batch, source, single).persist()
    good = parsed.where("reason IS NULL").withColumn("arrived_at", F.lit(batch.started_at))
    total = refused.count()
    landed = batch.append(mapping.bronze, good)
    taken = single.join(good.select(*keys), keys, "left_semi").unionByName(whole)
    batch.upsert(
        QUARANTINE,
        taken.withColumns({"status": F.lit("replayed"), "replayed_at": F.lit(batch.started_at)}),
        insert=False,
    )
    retried = batch.delete_keys(
        FILES,
        batch.read(FILES).where(
            (F.col("source") == mapping.source) & (F.col("state") == "refused")
        ),
        ["source", "file", "bytes", "modified_at"],
    )
    still = total - landed - whole.count()
    batch.only.balance(mapping.bronze, rows_in=total, rows_out=total - still, quarantined=still)
    batch.count(rows_in=total, rows_out=total - still, rows_duplicate=0, rows_quarantined=still)
    if retried:
        batch.summary.message = f"{retried} refused file(s) will be tried again"
    parsed.unpersist()
    refused.unpersist()


def _parsed(batch: Batch, source: Source, single: DataFrame) -> DataFrame:
    mapping = source.mapping
    rows = single.select(
        F.col("raw").cast("string").alias("value"), F.col("file").alias("uri"), "line"
    )
    if mapping.format != "csv":
        found = records.parse(rows, mapping, ())
    else:
        headers = (
            batch.read(FILES)
            .where((F.col("source") == mapping.source) & F.col("header").isNotNull())
            .groupBy("file")
            .agg(F.max_by("header", "arrived_at").alias("header"))
        )
        with_header = rows.join(headers, rows["uri"] == headers["file"], "left")
        known = [r["header"] for r in with_header.select("header").distinct().collect()]
        parts = [
            records.parse_csv(
                with_header.where(F.col("header").eqNullSafe(F.lit(h) if h else F.lit(None))),
                mapping,
                h or list(mapping.columns),
            )
            for h in known
        ]
        found = reduce(DataFrame.unionByName, parts)
    return found.withColumnRenamed("uri", "file")
