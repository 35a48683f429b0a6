"""Deletion vectors of Delta tables: which rows of a data file count no more.

Delta reads and writes them, see "Deletion Vectors" in the protocol of its transaction log; here they are
places of rows, from 0, ascending.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession

Places = NDArray[np.int64]
Vector = dict[str, Any]
"""The descriptor of a deletion vector, as a commit has it."""


def places_in(spark: SparkSession, folder: Path, vector: Vector) -> Places:
    """The places that a deletion vector names.

    Args:
        spark: the session.
        folder: where the table lies.
        vector: the descriptor.
    """
    jvm = _jvm(spark)
    delta = jvm.org.apache.spark.sql.delta
    action: dict[str, Any] = {
        "path": "any",
        "partitionValues": {},
        "size": 0,
        "modificationTime": 0,
    }
    action |= {"dataChange": True, "deletionVector": vector}
    told = delta.actions.Action.fromJson(json.dumps({"add": action})).deletionVector()
    stored = delta.deletionvectors.StoredBitmap.create(told, _path(spark, folder))
    places = stored.load(_store(spark)).toArray()
    # Numbers one by one take a call each; bytes come at once.
    buffer = jvm.java.nio.ByteBuffer.allocate(8 * len(places))
    buffer.asLongBuffer().put(places)
    return np.frombuffer(buffer.array(), dtype=">i8").astype(np.int64)


def without_rows(
    spark: SparkSession, folder: Path, add: dict[str, Any], places: Places
) -> tuple[str, str]:
    """The actions that make rows of a file count no more; writes the deletion vector.

    Args:
        spark: the session.
        folder: where the table lies.
        add: the action by which the file stands in the table.
        places: all of its rows that count no more, those of before among them.

    Returns:
        what adds the file with its vector, and what removes it as it was.
    """
    jvm = _jvm(spark)
    delta = jvm.org.apache.spark.sql.delta
    buffer = jvm.java.nio.ByteBuffer.wrap(places.astype(">i8").tobytes())
    gateway: Any = spark.sparkContext._gateway
    numbers = gateway.new_array(jvm.long, len(places))
    buffer.asLongBuffer().get(numbers)
    wrapped = jvm.scala.runtime.ScalaRunTime.wrapLongArray(numbers)
    bitmaps = delta.deletionvectors
    portable = _only(bitmaps, "RoaringBitmapArrayFormat$").Portable()
    data = bitmaps.RoaringBitmapArray.apply(wrapped).serializeAsByteArray(portable)
    store, name = _store(spark), jvm.java.util.UUID.randomUUID()
    table = store.pathWithFileSystem(_path(spark, folder))
    writer = store.createWriter(store.generateFileNameInTable(table, name, ""))
    try:
        offset = writer.write(data).offset()
    finally:
        writer.close()
    vector = _only(delta.actions, "DeletionVectorDescriptor$").onDiskWithRelativePath(
        name, "", len(data), len(places), jvm.scala.Some(offset), jvm.scala.Option.empty()
    )
    standing = delta.actions.Action.fromJson(json.dumps({"add": add}))
    both = standing.removeRows(vector, True, True)
    return both._1().json(), both._2().json()


def _jvm(spark: SparkSession) -> Any:
    return spark._jvm


def _only(package: Any, name: str) -> Any:
    """The one instance of a Scala object."""
    return getattr(getattr(package, name), "MODULE$")


def _path(spark: SparkSession, folder: Path) -> Any:
    # As a URI and not as a text: Hadoop takes a text with a blank or a per cent as it stands.
    return _jvm(spark).org.apache.hadoop.fs.Path(_jvm(spark).java.net.URI(folder.as_uri()))


def _store(spark: SparkSession) -> Any:
    stores = _only(_jvm(spark).org.apache.spark.sql.delta.storage.dv, "DeletionVectorStore$")
    return stores.createInstance(spark._jsparkSession.sessionState().newHadoopConf())
