"""The lake: Delta tables at <lake>/<schema>/<table>, made from their contracts."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from lakecdp import contracts
from lakecdp.contracts import TableContract
from lakecdp.platform.commits import (
    COMMIT,
    GLOB,
    MAINTENANCE,
    added_files,
    commit_name,
    operation,
    schema_of,
    user_metadata,
)
from lakecdp.platform.fs import list_names, read_text
from lakecdp.platform.rows import PLAIN, added, no_rows, stats, texts

METADATA = "spark.databricks.delta.commitInfo.userMetadata"
PRUNE_LIMIT = 400
LOOK_BACK = 20
ROWS_PER_FILE = 4_000_000
FEW_FILES = 32
"""Spark lists as many paths without a job of its own."""
SMALL_TABLE = 8 << 20
"""Bytes up to which a table is read by its files, and a merge writes files anew."""
MANY_COMMITS = 500
"""Above, Delta finds the files of a table more quickly than who reads each commit."""
REWRITE = "spark.databricks.delta.merge.deletionVectors.persistent"
"""Whether a merge marks rows as deleted in their files, which only Delta can read then."""


@dataclass(frozen=True)
class MergeCounts:
    """Rows that an upsert inserted, updated and deleted."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    @property
    def written(self) -> int:
        """Rows inserted or updated."""
        return self.inserted + self.updated


class Lake:
    """Tables by name; knows nothing of publication (see `Batch`).

    Args:
        spark: the session.
        uri: folder or URI of the lake.
    """

    def __init__(self, spark: SparkSession, uri: str):
        self.spark = spark
        self.uri = uri.rstrip("/")
        self._apart: Lake | None = None
        self._statements = threading.Lock()

    def beside(self) -> Lake:
        """The same lake through a session of its own: settings and views do not meet."""
        return Lake(self.spark.newSession(), self.uri)

    def apart(self) -> Lake:
        """The same lake through one other session, the same each time."""
        if self._apart is None:
            self._apart = self.beside()
        return self._apart

    def path(self, name: str) -> str:
        """Where a table lies."""
        return f"{self.uri}/{name.replace('.', '/', 1)}"

    def version(self, name: str) -> int | None:
        """Current version of a table, or None when it does not exist."""
        found = int(self._snapshot(name).version())
        return found if found >= 0 else None

    def _snapshot(self, name: str) -> Any:
        return _snapshot_at(self.spark, self.path(name))

    def bytes(self, name: str) -> int:
        """Size of a table's data files; 0 when it does not exist."""
        found = self._snapshot(name)
        if int(found.version()) < 0:
            return 0
        # The checksum of the version says it; without one Delta runs a query over its whole log.
        checksum = found.checksumOpt()
        if checksum.isDefined():
            return int(checksum.get().tableSizeBytes())
        # In the session that is active in this thread: a job that looks at a table not published yet
        # before any other has none.
        jvm: Any = self.spark._jvm
        jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(self.spark._jsparkSession)
        return int(found.sizeInBytes())

    def last_metadata(self, name: str, key: str) -> dict[str, Any] | None:
        """What the last commit of a table says of itself, by its commit file alone.

        Args:
            name: the table.
            key: a key that the metadata must have; maintenance, which changes no row, is passed
                over.

        Returns:
            the metadata; empty where there is no table, None where the last commits do not say.
        """
        log = f"{self.path(name)}/_delta_log"
        found = sorted(f for f in list_names(self.spark, log) if COMMIT.fullmatch(f))
        for file in reversed(found[-LOOK_BACK:]):
            commit = read_text(self.spark, f"{log}/{file}")
            told = user_metadata(commit)
            if key in told:
                return told
            if operation(commit) not in MAINTENANCE:
                return None
        return None if found else {}

    def ensure(self, contract: TableContract) -> None:
        """Create a table, empty, where it does not exist."""
        if self.version(contract.name) is not None:
            return
        cluster = f"CLUSTER BY ({', '.join(contract.cluster_by)})" if contract.cluster_by else ""
        stats = ",".join(contract.stats_columns)
        self.spark.sql(
            f"CREATE TABLE IF NOT EXISTS delta.`{self.path(contract.name)}` ({contract.ddl}) "
            f"USING delta {cluster} COMMENT '{contract.grain}' "
            f"TBLPROPERTIES ('delta.dataSkippingStatsColumns' = '{stats}')"
        )

    def widen(self, contract: TableContract) -> None:
        """Add the columns that a contract has gained since its table was made."""
        there = set(self._snapshot(contract.name).schema().fieldNames())
        missing = [c for c in contract.all_columns if c.name not in there]
        if missing:
            columns = ", ".join(f"`{c.name}` {c.type}" for c in missing)
            self.spark.sql(
                f"ALTER TABLE delta.`{self.path(contract.name)}` ADD COLUMNS ({columns})"
            )

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """A table at a version (default: the current one); empty where it does not exist.

        Columns that the contract has gained since are there, without a value.
        """
        contract = contracts.table(name)
        current = self.version(name)
        if current is None:
            return self.empty(contract)
        rows = self._plain(contract.name, current if version is None else version)
        if rows is None:
            reader = self.spark.read.format("delta")
            if version is not None:
                reader = reader.option("versionAsOf", version)
            rows = reader.load(self.path(name))
        there = set(rows.columns)
        gained = [c for c in contract.all_columns if c.name not in there]
        return (
            rows.withColumns({c.name: F.lit(None).cast(c.type) for c in gained}) if gained else rows
        )

    def _plain(self, name: str, version: int) -> DataFrame | None:
        """The rows of a small table, where its files tell them without Delta.

        Delta rebuilds the state of a table by a query before the first scan of each version; for a
        small table that takes several times as long as the scan.
        """
        root = urlsplit(self.path(name))
        if root.scheme not in ("", "file") or GLOB & set(root.path):
            return None
        folder = Path(unquote(root.path))
        commits = _commits(folder, version)
        names = None if commits is None else added_files(commits)
        schema = schema_of(commits or ())
        if names is None or schema is None or len(names) > FEW_FILES:
            return None
        columns = StructType.fromJson(json.loads(schema))
        paths = [folder / n for n in names]
        if not all(p.is_file() for p in paths):
            return None
        if sum(p.stat().st_size for p in paths) > SMALL_TABLE:
            return None
        if not paths:
            return self.spark.createDataFrame([], columns)
        return self.spark.read.schema(columns).parquet(*map(str, paths))

    def arrow(
        self, name: str, columns: Sequence[str], version: int | None = None
    ) -> pa.Table | None:
        """Columns of a table from its files, read by this process past the JVM.

        That is several times as quick as bringing rows of a frame here. Texts come as dictionaries.

        Args:
            name: the table.
            columns: columns that all its files have.
            version: of the table; default: the current one.

        Returns:
            the rows in no order; None where the files alone do not tell them: they are not on a local
            path, rows in them are deleted, or columns are missing.
        """
        snapshot = self._snapshot(name)
        root = urlsplit(self.path(name))
        there = int(snapshot.version())
        if there < 0 or version not in (None, there) or root.scheme not in ("", "file"):
            return None
        folder = Path(unquote(root.path))
        commits = _commits(folder, there)
        names = None if commits is None else added_files(commits)
        if names is None:
            log = DataFrame(snapshot.allFiles().toDF(), self.spark)
            found = log.select("path", F.col("deletionVector").isNull()).collect()
            names = [unquote(r[0]) for r in found] if all(r[1] for r in found) else None
        paths = [folder / n for n in names or ()]
        if names is None or not all(p.is_file() for p in paths):
            return None
        parts = []
        for path in paths:
            file = pq.ParquetFile(path, memory_map=True)
            kinds = file.schema_arrow
            if not set(columns) <= set(kinds.names):
                return None
            texts = [c for c in columns if pa.types.is_string(kinds.field(c).type)]
            parts.append(
                pq.read_table(
                    path,
                    columns=list(columns),
                    read_dictionary=texts,
                    coerce_int96_timestamp_unit="us",
                )
            )
        return pa.concat_tables(parts).unify_dictionaries() if parts else no_rows(name, columns)

    def read_added(self, name: str, after: int) -> DataFrame:
        """Rows in the files that the commits after a version added; may hold older rows too."""
        current = self.version(name)
        files: list[str] | None = None
        if current is not None and not GLOB & set(self.path(name)):
            log = f"{self.path(name)}/_delta_log"
            names = [commit_name(v) for v in range(after + 1, current + 1)]
            files = added_files(read_text(self.spark, f"{log}/{n}") for n in names)
        table = self.read(name)
        if files is None:
            return table
        if not files:
            return table.limit(0)
        paths = [f"{self.path(name)}/{f}" for f in files]
        return self.spark.read.schema(table.schema).parquet(*paths)

    def empty(self, contract: TableContract) -> DataFrame:
        """A frame with the columns of a contract and no rows."""
        columns = ", ".join(f"CAST(NULL AS {c.type}) AS `{c.name}`" for c in contract.all_columns)
        return self.spark.sql(f"SELECT {columns} WHERE false")

    def empty_of(self, name: str) -> DataFrame:
        """No rows of a table, whether or not it exists yet."""
        return self.empty(contracts.table(name))

    def append(self, contract: TableContract, frame: DataFrame, meta: Mapping[str, Any]) -> int:
        """Append rows; returns how many."""
        seen = Observation()
        (
            frame.observe(seen, F.count(F.lit(1)).alias("rows"))
            .write.format("delta")
            .mode("append")
            .option("userMetadata", json.dumps(dict(meta)))
            .save(self.path(contract.name))
        )
        return int(seen.get["rows"])

    def add(
        self, contract: TableContract, rows: pa.Table, lineage: int, meta: Mapping[str, Any]
    ) -> int:
        """Append rows that this process holds, as files written past the JVM; returns how many.

        That is ten times as quick as handing millions of rows to the JVM. Delta makes the commit. Where
        the lake is on no local path, or the table has columns that are not plain, it is `append`.

        Args:
            contract: the table.
            rows: the business columns of the contract.
            lineage: value of `_batch`.
            meta: metadata of the commit.

        Raises:
            ValueError: a column that must have a value has none.
        """
        root = urlsplit(self.path(contract.name))
        kinds = [PLAIN.get(c.type) for c in contract.columns]
        if root.scheme not in ("", "file") or not all(kinds):
            batch = F.lit(lineage).cast("bigint").alias("_batch")
            frame = self.spark.createDataFrame(rows.select(contract.column_names))
            return self.append(contract, frame.select("*", batch), meta)
        fields = [
            pa.field(c.name, kind, not c.required)
            for c, kind in zip(contract.columns, kinds, strict=True)
        ]
        missing = [f.name for f in fields if not f.nullable and rows.column(f.name).null_count]
        if missing:
            raise ValueError(f"{contract.name}: {', '.join(missing)} must have a value in each row")
        rows = rows.select([f.name for f in fields]).cast(pa.schema(fields))
        batch = pa.repeat(pa.scalar(lineage, pa.int64()), rows.num_rows)
        rows = rows.append_column(pa.field("_batch", pa.int64(), False), batch)
        folder = Path(unquote(root.path))
        actions = []
        for start in range(0, rows.num_rows, ROWS_PER_FILE):
            part = rows.slice(start, ROWS_PER_FILE)
            name = f"part-{uuid.uuid4()}.snappy.parquet"
            pq.write_table(part, folder / name, use_dictionary=texts(part))
            size = (folder / name).stat().st_size
            told = stats(part, contract)
            actions.append(added(name, size, told))
        if actions:
            self._commit(contract.name, actions, meta)
        return int(rows.num_rows)

    def _commit(self, name: str, actions: Sequence[str], meta: Mapping[str, Any]) -> None:
        """Let Delta commit actions given as JSON."""
        jvm: Any = self.spark._jvm
        delta = jvm.org.apache.spark.sql.delta
        log = delta.DeltaLog.forTable(self.spark._jsparkSession, self.path(name))
        jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(self.spark._jsparkSession)
        read = [delta.actions.Action.fromJson(a) for a in actions]
        # Named as what it is, an append: after a ManualUpdate Delta would not derive the checksum of
        # the version from the one before, and read the whole log instead, for seconds.
        mode, none = jvm.org.apache.spark.sql.SaveMode.Append, jvm.scala.Option.empty()
        operation = getattr(delta, "DeltaOperations$Write")(mode, *[none] * 8)
        with self._statements:
            self.spark.conf.set(METADATA, json.dumps(dict(meta)))
            try:
                log.startTransaction().commit(jvm.PythonUtils.toSeq(read), operation)
            finally:
                self.spark.conf.unset(METADATA)

    def overwrite(
        self, contract: TableContract, frame: DataFrame, meta: Mapping[str, Any], where: str | None
    ) -> int:
        """Replace the rows that match `where` (default: all) by `frame`; returns the rows written."""
        seen = Observation()
        writer = (
            frame.observe(seen, F.count(F.lit(1)).alias("rows"))
            .write.format("delta")
            .mode("overwrite")
            .option("userMetadata", json.dumps(dict(meta)))
        )
        if where:
            writer = writer.option("replaceWhere", where)
        writer.save(self.path(contract.name))
        return int(seen.get["rows"])

    def merge(
        self,
        contract: TableContract,
        frame: DataFrame,
        meta: Mapping[str, Any],
        *,
        update_when: str | None = None,
        delete_when: str | None = None,
        update: bool = True,
        insert: bool = True,
        evolve: bool = False,
        on: Sequence[str] | None = None,
    ) -> MergeCounts:
        """Upsert by the contract's key; `s` is the frame and `t` the table in conditions."""
        keys = list(on or contract.key)
        matches = [
            f"t.`{k}` <=> s.`{k}`" if k not in _required(contract) else f"t.`{k}` = s.`{k}`"
            for k in keys
        ]
        if contract.prune_by in keys:
            matches.append(self._days(frame, str(contract.prune_by), "t."))
        clauses = []
        if delete_when:
            clauses.append(f"WHEN MATCHED AND ({delete_when}) THEN DELETE")
        condition = f" AND ({update_when})" if update_when else ""
        if update:
            clauses.append(f"WHEN MATCHED{condition} THEN UPDATE SET *")
        if insert:
            kept = f" AND NOT ({delete_when})" if delete_when else ""
            clauses.append(f"WHEN NOT MATCHED{kept} THEN INSERT *")
        evolution = "WITH SCHEMA EVOLUTION " if evolve else ""
        return self._sql(
            f"MERGE {evolution}INTO delta.`{self.path(contract.name)}` t USING {{frame}} s "
            f"ON {' AND '.join(m for m in matches if m)} {' '.join(clauses)}",
            frame,
            meta,
            contract.name,
        )

    def delete(
        self, contract: TableContract, keys: DataFrame, meta: Mapping[str, Any], on: Sequence[str]
    ) -> MergeCounts:
        """Delete the rows whose columns `on` stand in `keys`."""
        matches = " AND ".join(f"t.`{k}` = s.`{k}`" for k in on)
        return self._sql(
            f"MERGE INTO delta.`{self.path(contract.name)}` t USING {{frame}} s ON {matches} "
            "WHEN MATCHED THEN DELETE",
            keys.select(*on).distinct(),
            meta,
            contract.name,
        )

    def _sql(self, text: str, frame: DataFrame, meta: Mapping[str, Any], name: str) -> MergeCounts:
        view = f"lakecdp_merge_source_{threading.get_ident()}"
        frame.createOrReplaceTempView(view)
        # A statement takes its metadata from the session, so they go one by one.
        with self._statements:
            self.spark.conf.set(METADATA, json.dumps(dict(meta)))
            try:
                self.spark.conf.set(REWRITE, str(self.bytes(name) > SMALL_TABLE).lower())
                row = self.spark.sql(text.format(frame=view)).first()
            finally:
                self.spark.conf.unset(METADATA)
                self.spark.conf.unset(REWRITE)
                self.spark.catalog.dropTempView(view)
        if row is None:
            return MergeCounts()
        return MergeCounts(
            row["num_inserted_rows"], row["num_updated_rows"], row["num_deleted_rows"]
        )

    def any_key(self, contract: TableContract, frame: DataFrame) -> bool:
        """Whether some row of the table has a key that stands in `frame`."""
        rows = self.read(contract.name)
        if contract.prune_by:
            rows = rows.where(self._days(frame, contract.prune_by) or "true")
        keys = list(contract.key)
        return not rows.select(*keys).join(frame.select(*keys), keys, "left_semi").isEmpty()

    def _days(self, frame: DataFrame, column: str, prefix: str = "") -> str:
        """The days of a batch as literals, so that MERGE reads the files of those days only."""
        days = [r[0] for r in frame.select(column).distinct().limit(PRUNE_LIMIT + 1).collect()]
        if len(days) > PRUNE_LIMIT:
            return ""
        if not days:
            return "false"
        return f"{prefix}`{column}` IN ({', '.join(f'DATE{chr(39)}{d}{chr(39)}' for d in sorted(days))})"

    def restore(self, name: str, version: int) -> None:
        """Take a table back to a version, as a new commit."""
        DeltaTable.forPath(self.spark, self.path(name)).restoreToVersion(version)


def _snapshot_at(spark: SparkSession, path: str) -> Any:
    jvm: Any = spark._jvm
    empty = jvm.scala.Option.empty()
    log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, path)
    return log.update(False, empty, empty)


def _commits(folder: Path, version: int) -> list[str] | None:
    """The commits of a table from the first one on; None where some are gone, or they are many."""
    files = [folder / "_delta_log" / commit_name(v) for v in range(version + 1)]
    if len(files) > MANY_COMMITS or not all(f.is_file() for f in files):
        return None
    return [f.read_text(encoding="utf-8") for f in files]


def delta_version(spark: SparkSession, path: str) -> int:
    """Current version of any Delta table; -1 when there is none."""
    return int(_snapshot_at(spark, path).version())


def _required(contract: TableContract) -> set[str]:
    return {c.name for c in contract.columns if c.required}
