"""The lake: Delta tables at <lake>/<schema>/<table>, made from their contracts."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
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
    all_commits,
    commit_name,
    operation,
    schema_of,
    user_metadata,
)
from lakecdp.platform.datafiles import DataFile, FileIndex, among, joined, whole
from lakecdp.platform.fs import list_names, read_text
from lakecdp.platform.local_writes import (
    METADATA,
    SMALL_TABLE,
    LocalWrites,
    possible,
    unfilled,
)
from lakecdp.platform.merging import DELETE, DOES, Merge, MergeCounts, decided, matching_keys
from lakecdp.platform.rows import FEW, arrow_schema, no_rows, traced

PRUNE_LIMIT = 400
LOOK_BACK = 20
FEW_FILES = 32
"""Spark lists as many paths without a job of its own."""
REWRITE = "spark.databricks.delta.merge.deletionVectors.persistent"
"""Whether a merge marks rows as deleted in their files, which only Delta can read then."""


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
        self._files = FileIndex(spark)
        self._local = LocalWrites(spark, self._statements)

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
        there = self._fields(contract.name)
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
        commits = all_commits(folder, version)
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

        That is several times as quick as bringing rows of a frame here. Texts may come as dictionaries.

        Args:
            name: the table.
            columns: columns that all its files have.
            version: of the table; default: the current one.

        Returns:
            the rows in no order; None where the files alone do not tell them: they are not on a local
            path, or columns are missing.
        """
        files = self._data_files(name, version)
        parts = None if files is None else whole(files, columns)
        return None if parts is None else _joined(parts, name, columns)

    def among(
        self, name: str, columns: Sequence[str], by: str, values: pa.Array, version: int | None
    ) -> pa.Table | None:
        """The rows of a table whose column `by` stands among values, as `arrow` reads them.

        Args:
            name: the table.
            columns: columns that all its files have.
            by: one of its columns, of numbers or texts.
            values: distinct values, ascending.
            version: of the table; None for the current one.
        """
        files = self._data_files(name, version)
        parts = None if files is None else among(files, columns, by, values)
        return None if parts is None else _joined(parts, name, columns)

    def _data_files(self, name: str, version: int | None) -> list[DataFile] | None:
        """The files of a table; None where it does not exist, or its files do not tell its rows."""
        snapshot = self._snapshot(name)
        there = int(snapshot.version()) >= 0
        return self._files.of(self.path(name), version, snapshot) if there else None

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

        Where the lake is on no local path, or the table has a VARIANT, it is `append`.

        Args:
            contract: the table.
            rows: the business columns of the contract.
            lineage: value of `_batch`.
            meta: metadata of the commit.

        Raises:
            ValueError: a column that must have a value has none.
        """
        uri = self.path(contract.name)
        rows = traced(rows.select(contract.column_names), lineage)
        if possible(uri, contract):
            return self._local.add(uri, contract, rows, meta)
        return self.append(contract, self.spark.createDataFrame(rows), meta)

    def put(
        self,
        contract: TableContract,
        rows: pa.Table,
        gone: pa.Table,
        lineage: int,
        meta: Mapping[str, Any],
    ) -> MergeCounts | None:
        """Upsert rows that this process holds; see `LocalWrites.put`.

        Returns:
            None, and nothing is written, where the lake is on no local path, the table has a VARIANT
            or columns beyond its contract, or its files do not tell its rows.
        """
        return self._put(contract, traced(rows.select(contract.column_names), lineage), gone, meta)

    def _put(
        self, contract: TableContract, rows: pa.Table, gone: pa.Table, meta: Mapping[str, Any]
    ) -> MergeCounts | None:
        uri = self.path(contract.name)
        columns = {c.name for c in contract.all_columns}
        files = None
        if possible(uri, contract) and columns == self._fields(contract.name):
            files = self._data_files(contract.name, None)
        return None if files is None else self._local.put(uri, contract, files, rows, gone, meta)

    def _fields(self, name: str) -> set[str]:
        return set(self._snapshot(name).schema().fieldNames())

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
        how: Merge,
        *,
        evolve: bool = False,
    ) -> MergeCounts:
        """Upsert by the contract's key.

        Args:
            contract: the table.
            frame: at most one row per key, cached; the columns of the contract, `_batch` among them,
                and others that conditions name or `evolve` adds.
            meta: metadata of the commit.
            how: what becomes of rows that are there already and of others.
            evolve: add columns that the table does not have.
        """
        if not evolve and self._small(contract):
            there = self.read(contract.name)
            few = _few(decided(there, frame, contract, how), contract.key)
            if few is not None:
                gone = pc.equal(few.column(DOES), DELETE)
                keys, kept = few.filter(gone).select([*contract.key]), few.filter(pc.invert(gone))
                # Of what is to be deleted the key alone may be given; what is missing else Delta tells.
                counts = None if unfilled(contract, kept) else self._put(contract, kept, keys, meta)
                if counts is not None:
                    return counts
        days = str(contract.prune_by)
        pruned = self._days(frame, days, "t.") if days in contract.key else ""
        return self._sql(
            f"MERGE {'WITH SCHEMA EVOLUTION ' if evolve else ''}INTO "
            f"delta.`{self.path(contract.name)}` t USING {{frame}} s "
            f"ON {' AND '.join([matching_keys(contract), *([pruned] if pruned else [])])} {how.clauses}",
            frame,
            meta,
            contract.name,
        )

    def _small(self, contract: TableContract) -> bool:
        """Whether a merge is done by this process.

        Delta's reads its source and the table twice, which takes seconds in a process that has just
        started; with few rows a join and a file written here do the same in a tenth of that.
        """
        name = contract.name
        return possible(self.path(name), contract) and self.bytes(name) <= SMALL_TABLE

    def delete(
        self, contract: TableContract, keys: DataFrame, meta: Mapping[str, Any], on: Sequence[str]
    ) -> MergeCounts:
        """Delete the rows whose columns `on` stand in `keys`, which are distinct and cached."""
        if self._small(contract) and {*on} <= {c.name for c in contract.columns if c.required}:
            few = _few(keys, on)
            none = arrow_schema(contract).empty_table()
            counts = None if few is None else self._put(contract, none, few, meta)
            if counts is not None:
                return counts
        matches = " AND ".join(f"t.`{k}` = s.`{k}`" for k in on)
        return self._sql(
            f"MERGE INTO delta.`{self.path(contract.name)}` t USING {{frame}} s ON {matches} "
            "WHEN MATCHED THEN DELETE",
            keys,
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


def _few(rows: DataFrame, key: Sequence[str]) -> pa.Table | None:
    """Rows to be written or deleted, brought here.

    Returns:
        None where Delta has to see to it: rows are many, are not one per key, or have none.
    """
    brought = rows.limit(FEW + 1).toArrow()
    if brought.num_rows > FEW or any(brought.column(k).null_count for k in key):
        return None
    alone = brought.group_by([*key]).aggregate([]).num_rows == brought.num_rows
    return brought if alone else None


def _joined(parts: list[pa.Table], name: str, columns: Sequence[str]) -> pa.Table | None:
    return joined(parts) if parts else no_rows(name, columns)


def delta_version(spark: SparkSession, path: str) -> int:
    """Current version of any Delta table; -1 when there is none."""
    return int(_snapshot_at(spark, path).version())
