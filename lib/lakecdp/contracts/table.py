"""What a contract says of a table: grain, columns with grades, key, layout and owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Grade = Literal["public", "internal", "personal", "sensitive"]


@dataclass(frozen=True)
class Column:
    """One column: Spark SQL type, meaning with unit, grade, and whether it may be null.

    A frame that is written may leave out an optional column, which is null then.
    """

    name: str
    type: str
    description: str
    grade: Grade = "internal"
    required: bool = False
    optional: bool = False

    @property
    def ddl(self) -> str:
        """The column as Spark SQL DDL."""
        null = " NOT NULL" if self.required else ""
        comment = self.description.replace("'", "\\'")
        return f"`{self.name}` {self.type}{null} COMMENT '{comment}'"


def column(
    name: str, type: str, description: str, *, grade: Grade = "internal", required: bool = False
) -> Column:
    """Shorthand for `Column`."""
    return Column(name, type, description, grade, required)


BATCH = Column(
    "_batch", "BIGINT", "run_seq of the batch that last wrote the row (lineage)", required=True
)
ARRIVED = Column("_arrived_at", "TIMESTAMP", "When the record reached bronze (lineage)")
REPAIRS = Column(
    "repairs",
    "ARRAY<STRING>",
    "Rules of conf/repairs.yaml that filled or replaced a value of the row; null: none",
    optional=True,
)
OUTLIERS = Column(
    "outliers",
    "ARRAY<STRING>",
    "Rules of conf/repairs.yaml by which the row is out of the ordinary; null: none",
    optional=True,
)
IDENTIFIERS_TYPE = "ARRAY<STRUCT<type: STRING, node_id: BIGINT>>"


@dataclass(frozen=True)
class TableContract:
    """A table of the lake.

    Attributes:
        name: schema.table.
        grain: "one row per ...".
        columns: business columns in order; `_batch` is added at the end of every table.
        key: the columns that make a row unique; empty for append-only logs.
        cluster_by: layout; the first is the date by which MERGE prunes files.
        owner: the job that writes it, as a path below jobs/.
        stage_notes: longer text for the table reference.
        prune_by: the date column of the key that bounds which files a MERGE reads.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    owner: str
    cluster_by: tuple[str, ...] = ()
    notes: str = ""
    prune_by: str | None = None

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        wrong = [c for c in (*self.key, *self.cluster_by) if c not in [*names, "_batch"]]
        if wrong or len(set(names)) != len(names):
            raise ValueError(f"{self.name}: key or layout names unknown or doubled columns {wrong}")

    @property
    def schema(self) -> str:
        """The part before the dot: bronze, silver, identity, gold or operations."""
        return self.name.split(".")[0]

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns with the lineage column `_batch` last."""
        return (*self.columns, BATCH)

    @property
    def column_names(self) -> list[str]:
        """Names of the business columns in order, without `_batch`."""
        return [c.name for c in self.columns]

    @property
    def compared(self) -> list[str]:
        """The columns that must be equal whatever the order of arrival: all but lineage."""
        return [c.name for c in self.columns if not c.name.startswith("_")]

    @property
    def ddl(self) -> str:
        """All columns as Spark SQL DDL."""
        return ", ".join(c.ddl for c in self.all_columns)

    @property
    def stats_columns(self) -> list[str]:
        """Columns worth file statistics: key, layout and `_batch`."""
        simple = [c.name for c in self.columns if "<" not in c.type and c.type != "VARIANT"]
        wanted = [*self.key, *self.cluster_by]
        return [*dict.fromkeys(n for n in wanted if n in simple), "_batch"]
