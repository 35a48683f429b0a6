"""What silver records say of identifiers: who was seen, and who was seen together.

A record shows a star: its strongest identifier, the owner, together with each other one. What is
kept of many records is the first and the last time, never a count: minimum and maximum are the same
in whatever batches records arrive, and a record that is delivered again changes nothing. A record
that is restated may take evidence back; then the evidence of its former owner is computed again
from all records that the owner still has (see `increment`).

silver.attribute holds only what a source stated last, so its times move with every statement. They
are shown on edges, but count neither for nodes nor for the order in which edges are taken. The same
goes for links that persons have decided (identity.decision), which are taken for records that show
two identifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

ATTRIBUTE, DECISION = "silver.attribute", "identity.decision"
MANUAL = "manual"
"""Source of links that persons have decided."""
DATED = ("silver.event", "silver.order_header", "silver.order_line")
MATCH = "identity.match"
"""Pairs of records linked by probability."""
INPUTS = (*DATED, ATTRIBUTE, DECISION, MATCH)
RECORDED = tuple(t for t in INPUTS if t.startswith("silver."))
EDGE_KEY = ["node_a", "node_b", "source", "target"]
EDGE_FACTS = ["type_a", "type_b", "weight", "first_seen", "last_seen", "evidence"]
REMOVED = "removed"
NODE_FACTS = ["type", "first_seen", "last_seen"]

_RECORD = {
    "silver.event": ("event_at", "concat_ws('/', event_date, event_id)"),
    "silver.order_header": ("ordered_at", "order_id"),
    "silver.order_line": ("ordered_at", "concat_ws('/', order_id, line_id)"),
    "silver.attribute": ("observed_at", "name"),
    "identity.decision": ("CAST(decided_on AS TIMESTAMP)", "decision_id"),
    "identity.match": ("CAST(NULL AS TIMESTAMP)", "coalesce(evidence, '')"),
}


def in_force(edges: DataFrame) -> DataFrame:
    """Rows of identity.edge whose evidence still stands."""
    return edges.where(F.col("status") != REMOVED)


def as_records(decisions: DataFrame) -> DataFrame:
    """Links of identity.decision in force, in the shape of silver records.

    Returns:
        The columns of identity.decision, source, owner_node and identifiers.
    """
    ends = [
        F.struct(F.col(f"type_{e}").alias("type"), F.col(f"node_{e}").alias("node_id"))
        for e in ("a", "b")
    ]
    linked = (F.col("action") == "link") & F.col("valid_to").isNull()
    return decisions.withColumns(
        {
            "source": F.lit(MANUAL),
            "owner_node": F.col("node_a"),
            "identifiers": F.when(linked, F.array(*ends)),
        }
    )


def match_edges(matches: DataFrame) -> DataFrame:
    """Pairs linked by probability (identity.match), in the shape of silver records.

    Returns:
        The columns of identity.match, source, owner_node and identifiers; `probability` becomes the
        weight of the edge.
    """
    ends = [
        F.struct(F.col(f"type_{e}").alias("type"), F.col(f"node_{e}").alias("node_id"))
        for e in ("a", "b")
    ]
    return matches.withColumns(
        {
            "source": F.concat(F.lit("linkage:"), F.col("linkage")),
            "owner_node": F.col("node_a"),
            "identifiers": F.when(F.col("decision") == "link", F.array(*ends)),
        }
    )


def records(target: str, rows: DataFrame) -> DataFrame:
    """Records of one silver table that have identifiers, in one shape.

    Returns:
        One row per record: target, source, owner BIGINT, key STRING, at TIMESTAMP, weight DOUBLE,
        identifiers.
    """
    at, key = _RECORD[target]
    weight = "probability" if "probability" in rows.columns else "1.0D"
    return rows.where(F.size("identifiers") > 0).select(
        F.lit(target).alias("target"),
        "source",
        F.get("identifiers", F.lit(0))["node_id"].alias("owner"),
        F.expr(key).alias("key"),
        F.expr(at).alias("at"),
        F.expr(weight).alias("weight"),
        "identifiers",
    )


def edges(rows: DataFrame) -> DataFrame:
    """Pairs of identifiers that records show together.

    Args:
        rows: see `records`.

    Returns:
        One row per pair, source and target, in the columns of identity.edge without the verdict;
        `evidence` is the key of the first record, the smallest of several.
    """
    other = F.explode(F.slice("identifiers", 2, 1 << 20)).alias("other")
    pairs = rows.where(F.size("identifiers") > 1).select(
        "target",
        "source",
        "owner",
        "key",
        "at",
        "weight",
        F.get("identifiers", F.lit(0)).alias("head"),
        other,
    )
    first = F.min(F.struct(F.col("at").isNull(), F.col("at"), F.col("key")))
    return (
        pairs.where("owner <> other.node_id")
        .groupBy(
            F.col("owner").alias("node_a"),
            F.col("other.node_id").alias("node_b"),
            "source",
            "target",
        )
        .agg(
            F.min("head.type").alias("type_a"),
            F.min("other.type").alias("type_b"),
            F.max("weight").alias("weight"),
            F.min("at").alias("first_seen"),
            F.max("at").alias("last_seen"),
            first["key"].alias("evidence"),
        )
        .select(*EDGE_KEY, *EDGE_FACTS)
    )


def nodes(rows: DataFrame) -> DataFrame:
    """Identifiers that records show.

    Args:
        rows: see `records`.

    Returns:
        One row per node: node_id, type, first_seen and last_seen by dated records.
    """
    at = F.when(F.col("target").isin(*DATED), F.col("at"))
    seen = rows.select(at.alias("at"), F.explode("identifiers").alias("i"))
    return _node_rows(
        seen.select("i.node_id", "i.type", F.col("at").alias("lo"), F.col("at").alias("hi"))
    )


def _node_rows(seen: DataFrame) -> DataFrame:
    return seen.groupBy("node_id").agg(
        F.min("type").alias("type"), F.min("lo").alias("first_seen"), F.max("hi").alias("last_seen")
    )


def union(frames: Sequence[DataFrame]) -> DataFrame:
    """All rows of frames with the same columns."""
    return reduce(DataFrame.unionByName, frames)


@dataclass(frozen=True)
class Changes:
    """What differs from the table as it was.

    Attributes:
        rows: changed or new rows with all facts, and `_new` and `_moved` (the change may matter for
            the grouping).
        gone: keys, and facts, of rows that are no more.
    """

    rows: DataFrame
    gone: DataFrame


def nodes_again(
    doubted: DataFrame, edges_now: DataFrame, read: Callable[[str], DataFrame]
) -> DataFrame:
    """Nodes from all records that they own, and from the edges that lead to them."""
    own = union([records(t, read(t)) for t in INPUTS]).join(
        doubted, F.col("owner") == F.col("node_id"), "left_semi"
    )
    dated = F.col("target").isin(*DATED)
    at = F.when(dated, F.col("at"))
    head = F.get("identifiers", F.lit(0))["type"]
    as_owner = own.select(
        F.col("owner").alias("node_id"), head.alias("type"), at.alias("lo"), at.alias("hi")
    )
    as_other = edges_now.join(doubted, F.col("node_b") == F.col("node_id"), "left_semi").select(
        F.col("node_b").alias("node_id"),
        F.col("type_b").alias("type"),
        F.when(dated, F.col("first_seen")).alias("lo"),
        F.when(dated, F.col("last_seen")).alias("hi"),
    )
    return _node_rows(as_owner.union(as_other))


def differing(now: DataFrame, before: DataFrame, key: list[str], facts: list[str]) -> DataFrame:
    """Rows of `now` that are new or have other facts than before.

    Returns:
        key, facts, `status` and `reason` (where the table has it) as they were, `_new`, `_moved`.
    """
    kept = [c for c in ("status", "reason") if c in before.columns]
    was = before.select(*key, *kept, F.struct(*facts).alias("_was"), F.lit(True).alias("_known"))
    joined = now.select(*key, *facts).join(was, key, "left")
    same = F.struct(*facts).eqNullSafe(F.col("_was"))
    new = F.col("_known").isNull()
    return joined.where(~same | new).select(
        *key, *facts, *kept, new.alias("_new"), (new | _order_moved(key)).alias("_moved")
    )


def _order_moved(key: list[str]) -> Column:
    moved = ~F.col("first_seen").eqNullSafe(F.col("_was.first_seen"))
    if "target" not in key:
        return moved
    heavier = ~F.col("weight").eqNullSafe(F.col("_was.weight"))
    return (moved & F.col("target").isin(*DATED)) | heavier


def overlay(before: DataFrame, changes: Changes, key: list[str], facts: list[str]) -> DataFrame:
    """The table with the changes laid over it, and `_changed` for the rows that came so."""
    kept = [c for c in ("status", "reason") if c in before.columns]
    touched = changes.rows.select(*key).union(changes.gone.select(*key))
    rest = before.join(touched, key, "left_anti")
    return rest.select(*key, *facts, *kept, F.lit(False).alias("_changed")).unionByName(
        changes.rows.select(*key, *facts, *kept, F.lit(True).alias("_changed"))
    )
