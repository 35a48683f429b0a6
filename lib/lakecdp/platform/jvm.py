"""What makes the JVM of this process start quickly: the jars it needs and the class-data archive.

`make setup` (tools/spark_setup.py) leaves both in `share/lakecdp` of the Python environment. Where
they are missing Spark resolves the jars itself and starts without the archive.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

PACKAGES = (
    "io.delta:delta-spark_4.2_2.13:4.4.0,org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0,"
    "org.postgresql:postgresql:42.7.14"
)
EXCLUDES = (
    "io.delta:delta-kernel-*,io.unitycatalog:*,org.apache.hadoop:*,org.scala-lang*:*,org.slf4j:*,"
    "org.xerial.snappy:*,*:lz4-java,com.google.code.findbugs:*,org.checkerframework:*,"
    "org.apache.spark:spark-tags_2.13"
)
LAUNCHER = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"


def jars() -> dict[str, str]:
    """Settings that bring Delta and the connectors: jars on the class path, or Spark's own resolution."""
    found = sorted((Path(sys.prefix) / "share" / "lakecdp" / "jars").glob("*.jar"))
    if found:
        return {"spark.driver.extraClassPath": os.pathsep.join(str(p) for p in found)}
    return {"spark.jars.packages": PACKAGES, "spark.jars.excludes": EXCLUDES}


def archive_options() -> list[str]:
    """Java options for the class-data archive; none where there is no archive.

    `LAKECDP_CDS_ARCHIVE` names another file, or none when it is empty. An archive of another JVM
    or of other jars is passed over by the JVM, in silence because of the two -Xlog options.
    """
    default = Path(sys.prefix) / "share" / "lakecdp" / "jvm.jsa"
    name = os.environ.get("LAKECDP_CDS_ARCHIVE", str(default))
    if not name or not Path(name).is_file():
        return []
    quoted = f'"{name}"' if " " in name else name
    quiet = ["-Xlog:disable", "-Xlog:all=error:stderr"]
    return [f"-XX:SharedArchiveFile={quoted}", "-Xshare:auto", *quiet]


def launcher_environment() -> None:
    """Environment of Spark's launcher, a JVM of its own before the driver's; what is set stays."""
    os.environ.setdefault("SPARK_LAUNCHER_OPTS", LAUNCHER)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")


def add_missing_jars() -> None:
    """Bring Delta to a JVM that `spark-submit` started without it.

    The jars that the set-up left are added to the class loader of the driver before the session
    looks for them; a cluster has Delta by its own settings, and then nothing is done.
    """
    from pyspark import SparkContext

    found = sorted((Path(sys.prefix) / "share" / "lakecdp" / "jars").glob("*.jar"))
    SparkContext._ensure_initialized()
    gateway: Any = SparkContext._jvm
    loader = gateway.java.lang.Thread.currentThread().getContextClassLoader()
    try:
        loader.loadClass("io.delta.sql.DeltaSparkSessionExtension")
    except Exception:
        for jar in found:
            loader.addURL(gateway.java.io.File(str(jar)).toURI().toURL())
