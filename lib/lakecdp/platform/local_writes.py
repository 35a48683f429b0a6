"""Rows that this process holds, put into Delta tables on a local path as files written past the JVM.

That is ten times as quick as handing the rows to the JVM, and what is replaced is found without reading
more of a table than its keys. Delta makes each commit.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from lakecdp.contracts import TableContract
from lakecdp.platform.datafiles import DataFile, places_of, whole
from lakecdp.platform.merging import MergeCounts
from lakecdp.platform.rows import added, arrow_schema, arrow_type, stats, texts
from lakecdp.platform.vectors import Places, without_rows

METADATA = "spark.databricks.delta.commitInfo.userMetadata"
ROWS_PER_FILE = 4_000_000
SMALL_TABLE = 8 << 20
"""Bytes up to which a table is read by its files, and files are written anew rather than marked."""
MANY_FILES = 16
"""Files of such a table beyond which a write makes one of them all."""


def possible(uri: str, contract: TableContract) -> bool:
    """Whether a table lies on a local path and Arrow has the types of all its columns."""
    local = urlsplit(uri).scheme in ("", "file")
    return local and all(arrow_type(c.type) is not None for c in contract.columns)


class LocalWrites:
    """Writes to one lake.

    Args:
        spark: the session.
        statements: held while the session has the metadata of a commit in its settings.
    """

    def __init__(self, spark: SparkSession, statements: threading.Lock):
        self._spark = spark
        self._statements = statements

    def add(
        self,
        uri: str,
        contract: TableContract,
        rows: pa.Table,
        meta: Mapping[str, Any],
    ) -> int:
        """Append rows; returns how many.

        Args:
            uri: where the table lies, see `possible`.
            contract: the table.
            rows: the columns of the contract, `_batch` among them.
            meta: metadata of the commit.

        Raises:
            ValueError: a column that must have a value has none.
        """
        actions = self._written(uri, contract, _shaped(contract, rows))
        if actions:
            self._commit(uri, actions, meta)
        return int(rows.num_rows)

    def put(
        self,
        uri: str,
        contract: TableContract,
        files: Sequence[DataFile],
        rows: pa.Table,
        gone: pa.Table,
        meta: Mapping[str, Any],
    ) -> MergeCounts | None:
        """Upsert rows by the key of the contract, and delete others, in one commit.

        Args:
            uri: where the table lies, see `possible`.
            contract: the table.
            files: its files.
            rows: the columns of the contract, `_batch` among them; at most one row per key.
            gone: what rows to be deleted have in some columns that must have a value, such as the
                key; none of them among `rows`.
            meta: metadata of the commit.

        Returns:
            None, and nothing is written, where a file lacks columns of the contract.

        Raises:
            ValueError: a column that must have a value has none.
        """
        shaped = _shaped(contract, rows)
        updated = places_of(files, shaped.select([*contract.key]))
        named = pa.schema([shaped.schema.field(c) for c in gone.column_names])
        deleted = places_of(files, gone.cast(named))
        if updated is None or deleted is None:
            return None
        replaced = [np.union1d(u, d) for u, d in zip(updated, deleted, strict=True)]
        small = sum(f.add["size"] for f in files) <= SMALL_TABLE
        work = shaped.num_rows or any(len(p) for p in replaced)
        every = small and work and len(files) > MANY_FILES
        hit = [(f, p) for f, p in zip(files, replaced, strict=True) if len(p) or every]
        actions: list[str] = []
        if small:
            parts = whole([replace(f, deleted=_every(f, p)) for f, p in hit], shaped.column_names)
            if parts is None:
                return None
            shaped = pa.concat_tables([shaped, *(p.cast(shaped.schema) for p in parts)])
            actions += [_removed(f) for f, _ in hit]
        else:
            folder = _folder(uri)
            for file, places in hit:
                out = _every(file, places)
                if len(out) == _rows_of(file):
                    actions.append(_removed(file))
                else:
                    actions += without_rows(self._spark, folder, file.add, out)
        actions += self._written(uri, contract, shaped)
        counts = [sum(len(p) for p in side) for side in (updated, deleted)]
        if actions:
            self._commit(uri, actions, meta, append=not hit)
        return MergeCounts(rows.num_rows - counts[0], *counts)

    def _written(self, uri: str, contract: TableContract, rows: pa.Table) -> list[str]:
        """Write files; returns the actions that add them."""
        actions = []
        for start in range(0, rows.num_rows, ROWS_PER_FILE):
            part = rows.slice(start, ROWS_PER_FILE)
            path = _folder(uri) / f"part-{uuid.uuid4()}.snappy.parquet"
            pq.write_table(part, path, use_dictionary=texts(part))
            actions.append(added(path.name, path.stat().st_size, stats(part, contract)))
        return actions

    def _commit(
        self, uri: str, actions: Sequence[str], meta: Mapping[str, Any], *, append: bool = True
    ) -> None:
        """Let Delta commit actions given as JSON."""
        jvm: Any = self._spark._jvm
        delta = jvm.org.apache.spark.sql.delta
        log = delta.DeltaLog.forTable(self._spark._jsparkSession, uri)
        jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(self._spark._jsparkSession)
        read = [delta.actions.Action.fromJson(a) for a in actions]
        # Named as what it is, an append or an update: after a ManualUpdate Delta would not derive the
        # checksum of the version from the one before, and read the whole log instead, for seconds.
        mode, none = jvm.org.apache.spark.sql.SaveMode.Append, jvm.scala.Option.empty()
        if append:
            operation = getattr(delta, "DeltaOperations$Write")(mode, *[none] * 8)
        else:
            operation = getattr(delta, "DeltaOperations$Update")(none)
        with self._statements:
            self._spark.conf.set(METADATA, json.dumps(dict(meta)))
            try:
                log.startTransaction().commit(jvm.PythonUtils.toSeq(read), operation)
            finally:
                self._spark.conf.unset(METADATA)


def _folder(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def _shaped(contract: TableContract, rows: pa.Table) -> pa.Table:
    """Rows in the columns of a table and their types."""
    missing = unfilled(contract, rows)
    if missing:
        raise ValueError(f"{contract.name}: {', '.join(missing)} must have a value in each row")
    schema = arrow_schema(contract)
    return rows.select(schema.names).cast(schema)


def unfilled(contract: TableContract, rows: pa.Table) -> list[str]:
    """Columns that must have a value in each row and have not."""
    return [c.name for c in contract.columns if c.required and rows.column(c.name).null_count]


def _every(file: DataFile, places: Places) -> Places:
    """The rows of a file that count no more when more are taken out of it."""
    return places if file.deleted is None else np.union1d(file.deleted, places)


def _rows_of(file: DataFile) -> int:
    return int(pq.read_metadata(file.path).num_rows)


def _removed(file: DataFile) -> str:
    """The action that takes a file out of its table, by the protocol of Delta."""
    action = {"path": file.add["path"], "dataChange": True, "extendedFileMetadata": True}
    action |= {"deletionTimestamp": _now(), "partitionValues": {}, "size": file.add["size"]}
    vector = file.add.get("deletionVector")
    if vector is not None:
        action["deletionVector"] = vector
    if "stats" in file.add:
        action["stats"] = file.add["stats"]
    return json.dumps({"remove": action})


def _now() -> int:
    return time.time_ns() // 1_000_000
