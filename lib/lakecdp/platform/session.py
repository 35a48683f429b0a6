"""The Spark session with Delta: quick to start on one machine, left alone on a cluster."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from pyspark import SparkConf
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from lakecdp.platform import jvm
from lakecdp.platform.errors import UsageError
from lakecdp.platform.settings import SparkSettings

CODEGEN = "spark.lakecdp.codegen"
"""Runtime setting: `auto` (generated Java where the data repays it), `always` or `never`."""

COMPILED = {
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.codegen.factoryMode": "FALLBACK",
}
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}

PARTITIONS = "spark.lakecdp.partitions"
"""Runtime setting: `auto` (parts of a shuffle by what a batch reads) or `fixed`."""

SHUFFLE = "spark.sql.shuffle.partitions"
PART = 8 << 20
"""Bytes of Parquet, or of compressed text, that make one part of a shuffle."""
MOST_PARTITIONS = 400

LOUD = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
"""Loggers of PySpark that print the stack trace of a wrong expression before anyone can catch it."""

COMPILE_ABOVE = 4 << 20
"""Bytes of Parquet, or of compressed text, above which generated Java is quicker than none."""


def suit(spark: SparkSession, bytes_read: int) -> None:
    """Let the plans of a batch suit what it reads: interpreted or compiled, with few parts or many.

    To compile the Java of a plan takes a good second of a processor, whatever the number of rows; and a
    part that does not fit in memory is sorted by way of the disk.
    """
    if spark.conf.get(PARTITIONS, "fixed") == "auto":
        parts = min(max(2, cores(), bytes_read // PART), MOST_PARTITIONS)
        spark.conf.set(SHUFFLE, str(parts))
    wanted = str(spark.conf.get(CODEGEN, "auto"))
    on = bytes_read > COMPILE_ABOVE if wanted == "auto" else wanted == "always"
    for key, value in (COMPILED if on else INTERPRETED).items():
        spark.conf.set(key, value)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _defaults(settings: SparkSettings) -> dict[str, str]:
    partitions = settings.shuffle_partitions or max(2, cores())
    return {
        CODEGEN: settings.codegen,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",
        PARTITIONS: "fixed" if settings.shuffle_partitions else "auto",
        SHUFFLE: str(partitions),
        # Versions of a key are few: to look for the last ones before rows are sent to where their keys
        # meet sorts all of them once more.
        "spark.sql.optimizer.windowGroupLimitThreshold": "-1",
        "spark.sql.files.maxPartitionBytes": "64m",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": str(partitions),
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "true",
        # Encodings such as gb18030; what cannot be decoded becomes U+FFFD and is then refused.
        "spark.sql.legacy.javaCharsets": "true",
        "spark.sql.legacy.codingErrorAction": "true",
        # Where in Python each expression was written is noted for messages of Spark's own, at the
        # price of half a dozen calls into Java for every expression. Ours name file and line.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.sql.dataFrameQueryContext.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.debug.maxToStringFields": "200",
    }


def _as_submitted(wanted: dict[str, str], given: SparkConf) -> dict[str, str]:
    """Our settings, but for the parts of a shuffle where the submitter names their number."""
    if not given.contains(SHUFFLE):
        return wanted
    return {k: v for k, v in wanted.items() if k != SHUFFLE} | {PARTITIONS: "fixed"}


def _local(settings: SparkSettings) -> dict[str, str]:
    return {
        "spark.driver.memory": settings.driver_memory,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": " ".join(
            [
                *jvm.archive_options(),
                # A run of minutes repays the second compiler; a job alone, submitted with
                # conf/spark/local.conf, does not live long enough.
                "-XX:+UseParallelGC",
                "-Djava.net.preferIPv4Stack=true",
                f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}",
            ]
        ),
    }


def build_session(settings: SparkSettings, app: str = "lakecdp") -> SparkSession:
    """The session of this process; an existing one is used as it is.

    Under `spark-submit` the master, memory and jars are the submitter's; elsewhere a local
    session is started and Delta's jars come by Spark's own resolution.

    Raises:
        UsageError: Java is missing or too old, or the jars cannot be had.
    """
    for name in LOUD:
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app)
    wanted = _defaults(settings)
    if not submitted:
        wanted |= _local(settings)
        wanted |= jvm.jars()
        jvm.launcher_environment()
        builder = builder.master(settings.master)
    else:
        jvm.add_missing_jars()
        wanted = _as_submitted(wanted, SparkConf())
    for key, value in (wanted | settings.conf).items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except Exception as e:
        raise UsageError(_why(e)) from None
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _why(error: Exception) -> str:
    text = str(error)
    if "JAVA_GATEWAY_EXITED" in text or "Java gateway" in text:
        return (
            "Spark's Java side did not start: install Java 17 or newer (a JDK such as OpenJDK 17), "
            "put `java` on the PATH or set JAVA_HOME, and see that Delta's jars can be downloaded."
        )
    if "DeltaSparkSessionExtension" in text or "DeltaCatalog" in text:
        return (
            "Delta Lake is not on Spark's class path: submit with "
            "`--properties-file conf/spark/local.conf` (or cluster.conf)."
        )
    return f"Spark did not start: {' '.join(text.split())[:300]}"
