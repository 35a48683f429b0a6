"""Where a linkage is computed: DuckDB in this process, or the Spark session of the lake."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from lakecdp.identity.linkage.sql import Dialect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_numbers = itertools.count(1)


class Engine(ABC):
    """Tables by name and queries over them.

    Attributes:
        dialect: its SQL.
    """

    dialect: Dialect

    @abstractmethod
    def table(self, name: str, query: str) -> str:
        """Compute a query once and keep it under a name; returns the name."""

    @abstractmethod
    def give(self, name: str, rows: pa.Table) -> str:
        """Bring rows in under a name; returns the name."""

    @abstractmethod
    def rows(self, query: str) -> pa.Table:
        """The rows of a query."""

    @abstractmethod
    def splink(self) -> Any:
        """Splink's way to the same tables."""

    def keep(self, name: str) -> str:
        """Take charge of a table that Splink has made; returns its name."""
        return name

    @abstractmethod
    def close(self) -> None:
        """Give back what is held."""

    def one(self, query: str) -> list[Any]:
        """The single row of a query."""
        found = self.rows(query)
        return [column[0].as_py() for column in found.columns]

    def fresh(self, name: str) -> str:
        """A name that no other table has."""
        return f"lakecdp_linkage_{name}_{next(_numbers)}"


class Duck(Engine):
    """DuckDB, in memory; what does not fit goes to a folder.

    Args:
        threads: how many; None: as DuckDB finds right.
        spill: folder for what does not fit into memory.
    """

    def __init__(self, threads: int | None = None, spill: Path | None = None):
        self.dialect = Dialect()
        settings: dict[str, Any] = {"threads": threads} if threads else {}
        if spill is not None:
            settings["temp_directory"] = str(spill)
        self.connection = duckdb.connect(":memory:", config=settings)

    def table(self, name: str, query: str) -> str:
        """See `Engine`."""
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")
        return name

    def give(self, name: str, rows: pa.Table) -> str:
        """See `Engine`."""
        self.connection.register("_given", rows)
        self.table(name, "SELECT * FROM _given")
        self.connection.unregister("_given")
        return name

    def rows(self, query: str) -> pa.Table:
        """See `Engine`."""
        return self.connection.sql(query).to_arrow_table()

    def splink(self) -> Any:
        """See `Engine`."""
        from splink import DuckDBAPI

        return DuckDBAPI(self.connection)

    def close(self) -> None:
        """See `Engine`."""
        self.connection.close()


class Cluster(Engine):
    """Spark, with the functions of similarity that Splink ships as a jar.

    Args:
        spark: the session of the lake.
    """

    def __init__(self, spark: SparkSession):
        self.dialect = Dialect(spark=True)
        self.spark = spark
        self._views: list[str] = []
        _functions(spark)

    def table(self, name: str, query: str) -> str:
        """See `Engine`."""
        # A table is joined with itself many times over: a plan that grew with every step would be
        # planned for longer than it runs.
        return self._view(name, self.spark.sql(query).localCheckpoint())

    def give(self, name: str, rows: Any) -> str:
        """See `Engine`."""
        frame = self.spark.createDataFrame(rows) if isinstance(rows, pa.Table) else rows
        return self._view(name, frame)

    def _view(self, name: str, frame: Any) -> str:
        """See `Engine`."""
        frame.createOrReplaceTempView(name)
        self._views.append(name)
        return name

    def keep(self, name: str) -> str:
        """See `Engine`."""
        self._views.append(name)
        return name

    def rows(self, query: str) -> pa.Table:
        """See `Engine`."""
        return self.spark.sql(query).toArrow()

    def splink(self) -> Any:
        """See `Engine`."""
        from splink import SparkAPI

        return SparkAPI(  # type: ignore[no-untyped-call]
            spark_session=self.spark,
            break_lineage_method="persist",
            register_udfs_automatically=False,
        )

    def close(self) -> None:
        """See `Engine`."""
        for name in self._views:
            self.spark.table(name).unpersist()
            self.spark.catalog.dropTempView(name)


def _functions(spark: SparkSession) -> None:
    """Register Splink's functions; its jar is added to the running session where it is missing."""
    from pyspark.sql.types import DoubleType
    from splink.backends.spark import similarity_jar_location

    package = "uk.gov.moj.dash.linkage"
    spark.sql(f"ADD JAR '{similarity_jar_location()}'")
    for name, cls in (
        ("jaro_winkler", "JaroWinklerSimilarity"),
        ("damerau_levenshtein", "LevDamerauDistance"),
    ):
        spark.udf.registerJavaFunction(name, f"{package}.{cls}", DoubleType())
