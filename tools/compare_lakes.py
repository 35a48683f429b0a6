"""Rows that only one of two lakes has: what tests and benchmarks hold two histories together with.

Silver, identity and gold must not depend on the order in which files arrived, on kills, or on how
many runs it took. Customer ids do (the oldest survives a merge), so customers are compared by the
smallest of their identifiers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# When and in which batch a row was written, and what follows from it alone.
CLOCKS = {"arrived_at", "replayed_at", "valid_from", "valid_to"}
LOGS = {"silver.vacated", "silver.vacated_order", "silver.vacated_session", "identity.change"}


def differences(
    spark: SparkSession, one: Path, other: Path, *, leave_out: Iterable[str] = ()
) -> dict[str, tuple[int, int]]:
    """Rows of silver, identity and gold that only one of two lakes has: table -> counts."""
    from lakecdp import contracts

    found = {}
    for name in sorted(contracts.all_tables()):
        schema = name.split(".")[0]
        if schema not in ("silver", "identity", "gold") or name in LOGS | set(leave_out):
            continue
        frames = [_rows(spark, lake, name) for lake in (one, other)]
        if frames[0] is None or frames[1] is None:
            if frames != [None, None]:
                found[name] = (-1, -1)
            continue
        a, b = frames[0].persist(), frames[1].persist()
        left, right = a.exceptAll(b).count(), b.exceptAll(a).count()
        if left or right:
            found[name] = (left, right)
        a.unpersist()
        b.unpersist()
    return found


def _rows(spark: SparkSession, lake: Path, name: str) -> DataFrame | None:
    """What must be equal of the current rows of a table."""
    from lakecdp.platform.lake import Lake
    from lakecdp.platform.ledger import Ledger

    opened = Lake(spark, str(lake))
    ledger = Ledger(spark, opened)
    if name not in ledger.published:
        return None
    rows = ledger.read(name)
    if name == "identity.link":
        rows = rows.where("valid_to IS NULL")
    if "customer_id" in rows.columns:
        links = ledger.read("identity.link").where("valid_to IS NULL")
        least = links.groupBy("customer_id").agg({"node_id": "min"}).toDF("customer_id", "_least")
        rows = rows.join(least, "customer_id", "left").drop("customer_id")
        rows = rows.withColumnRenamed("_least", "customer")
    clocks = CLOCKS - ({"valid_from", "valid_to"} if name.startswith("gold.") else set())
    kinds = dict(rows.dtypes)
    columns = [
        f"to_json(`{c}`) AS `{c}`" if "variant" in kinds[c] or "map" in kinds[c] else f"`{c}`"
        for c in sorted(rows.columns)
        if not c.startswith("_") and c not in clocks
    ]
    return rows.selectExpr(*columns)
