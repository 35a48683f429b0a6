"""What a merge does with each row of its source."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.contracts import TableContract

DOES = "_does"
"""Column that says what becomes of a row."""
DELETE, UPDATE, INSERT = "delete", "update", "insert"


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


@dataclass(frozen=True)
class Merge:
    """How rows are merged; in conditions `s` is the source and `t` the table.

    Attributes:
        update_when: which matched rows are updated; None for all.
        delete_when: which matched rows are deleted instead; other such rows are not inserted.
        update: whether matched rows are updated at all.
        insert: whether rows without a match are inserted.
    """

    update_when: str | None = None
    delete_when: str | None = None
    update: bool = True
    insert: bool = True

    @property
    def clauses(self) -> str:
        """The clauses of a MERGE statement."""
        told = []
        if self.delete_when:
            told.append(f"WHEN MATCHED AND ({self.delete_when}) THEN DELETE")
        if self.update:
            condition = f" AND ({self.update_when})" if self.update_when else ""
            told.append(f"WHEN MATCHED{condition} THEN UPDATE SET *")
        if self.insert:
            kept = f" AND NOT ({self.delete_when})" if self.delete_when else ""
            told.append(f"WHEN NOT MATCHED{kept} THEN INSERT *")
        return " ".join(told)


def matching_keys(contract: TableContract) -> str:
    """The condition that a row of the source `s` and one of the table `t` have the same key."""
    required = {c.name for c in contract.columns if c.required}
    return " AND ".join(f"t.`{k}` {'=' if k in required else '<=>'} s.`{k}`" for k in contract.key)


def decided(table: DataFrame, frame: DataFrame, contract: TableContract, how: Merge) -> DataFrame:
    """What a MERGE would do, by its first clause that applies, without doing it.

    Args:
        table: the rows that are there.
        frame: the source; at most one row per key.
        contract: of the table.
        how: what becomes of them.

    Returns:
        one row per row of the source that is to be written or whose key is to be deleted: its columns,
        and `_does`, one of delete, update and insert.
    """
    there = F.col("t._batch").isNotNull()
    deleted = F.expr(how.delete_when or "false")
    updated = F.expr((how.update_when or "true") if how.update else "false")
    does = (
        F.when(there & deleted, DELETE)
        .when(there & updated, UPDATE)
        .when(~there & ~deleted & F.lit(how.insert), INSERT)
    )
    both = frame.alias("s").join(table.alias("t"), F.expr(matching_keys(contract)), "left")
    return both.select("s.*", does.alias(DOES)).where(f"{DOES} IS NOT NULL")
