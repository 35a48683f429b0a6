"""What every connector gives: new records as text with their place, and the position after them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

Position = dict[str, Any]
"""How far an input has been read, as JSON; kept in the ledger with the batch that landed it."""

JSON = {
    "ignoreNullFields": "false",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}


@dataclass
class Pull:
    """New records of one input; nothing of it is written yet.

    Attributes:
        rows: value STRING (the record as JSON text), file STRING (its place, such as topic and
            partition), line BIGINT (offset, or number in the pull); None where there are none.
        position: where the next pull begins once this one is published.
        count: records in `rows`, where it is known without reading them.
        again: records that were read although they had landed before.
        bytes: rough size.
        notes: what is to be told, in sentences.
        more: the input held more than one batch takes.
    """

    rows: DataFrame | None
    position: Position
    count: int | None = 0
    again: int = 0
    bytes: int = 0
    notes: list[str] = field(default_factory=list)
    more: bool = False


def as_text(rows: DataFrame, *beside: str) -> DataFrame:
    """Rows of a table as JSON text, every column, nulls too: value STRING.

    Args:
        rows: the table.
        beside: columns that stay as they are, and out of the text.
    """
    names = ["`{}`".format(c.replace("`", "``")) for c in rows.columns if c not in beside]
    text = F.to_json(F.struct(*[F.col(n) for n in names]), JSON)
    return rows.select(text.alias("value"), *beside)


def fixed(rows: DataFrame) -> DataFrame:
    """The same rows, read now and once.

    A table of others may change between two reads: what is counted must be what is written.
    """
    return rows.localCheckpoint(eager=True, storageLevel=StorageLevel.MEMORY_AND_DISK)


def numbered(rows: DataFrame, file: str) -> DataFrame:
    """Rows that are `fixed`, with `file` and their number in it from 1 as `line`."""
    marked = rows.withColumn("_at", F.monotonically_increasing_id())
    parts = marked.groupBy(F.spark_partition_id().alias("part")).agg(
        F.min("_at").alias("first"), F.count(F.lit(1)).alias("count")
    )
    before, starts = 0, []
    for part in sorted(parts.collect(), key=lambda p: p["first"]):
        starts.append((part["part"], before - part["first"] + 1))
        before += part["count"]
    if not starts:
        return rows.withColumns({"file": F.lit(file), "line": F.lit(0).cast("bigint")})
    shift = F.create_map(*[F.lit(x) for pair in starts for x in pair])
    return marked.withColumns(
        {
            "file": F.lit(file),
            "line": (F.col("_at") + shift[F.spark_partition_id()]).cast("bigint"),
        }
    ).drop("_at")


def pull_name(number: int, of: str) -> str:
    """The place of the records of one pull; names sort as the pulls came."""
    return f"pull-{number:08d}/{of}"


def without(text: str, secrets: Iterable[str]) -> str:
    """A message of a server with no secret in it."""
    for secret in sorted({s for s in secrets if s}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
