"""Open the input of a source that is no file: what is new, as a landing like that of files."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.bronze import records
from lakecdp.bronze.connectors import delta, http, jdbc, kafka
from lakecdp.bronze.connectors.config import DeltaInput, HttpInput, JdbcInput, KafkaInput
from lakecdp.bronze.connectors.overlap import landed_rows
from lakecdp.bronze.connectors.pull import Pull
from lakecdp.bronze.ingest import QUARANTINE, Landing
from lakecdp.bronze.mapping import Source
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.job import Job


def open_input(job: Job, source: Source) -> Landing:
    """Read what is new in the input of a source; writes nothing.

    Args:
        job: the job that lands it; the position of the source is its own.
        source: a source whose mapping names an input.

    Raises:
        LakecdpError: the input cannot be read; names the source.
    """
    mapping = source.mapping
    try:
        found = _pull(job, source)
    except LakecdpError as e:
        raise LakecdpError(f"source {mapping.source}: {e}") from None
    before = job.ledger.consumed(job.name, mapping.source).position
    landing = Landing(
        source,
        {},
        filled=found.count,
        notes=found.notes,
        position=found.position,
        idle=found.rows is None and found.position == before,
        again=found.again,
        bytes=found.bytes,
        more=found.more,
    )
    if found.rows is not None:
        rows = found.rows.select("value", F.col("file").alias("uri"), "line")
        landing.frame = records.parse_objects(rows, mapping, "record")
    return landing


def _pull(job: Job, source: Source) -> Pull:
    mapping, config = source.mapping, source.mapping.input
    position = job.ledger.consumed(job.name, mapping.source).position

    def landed(first: int | None) -> DataFrame:
        bronze, refused = job.read(mapping.bronze), job.read(QUARANTINE)
        return landed_rows(bronze, refused, mapping.source, first)

    match config:
        case DeltaInput():
            return delta.pull(job.spark, config, position, landed)
        case JdbcInput():
            return jdbc.pull(job.spark, config, position, landed)
        case HttpInput():
            return http.pull(
                job.spark, config, position, landed, f"{job.lake.uri}/_pulled/{mapping.source}"
            )
        case KafkaInput():
            return kafka.pull(job.spark, config, position)
    raise LakecdpError("its mapping names no input")
