"""Rows of the identity tables as numbers, and the rules and verdicts that go with them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules, is_junk
from lakecdp.identity.arrays import Numbers, distinct
from lakecdp.identity.evidence import DATED, DECISION, RECORDED
from lakecdp.identity.grouping import (
    BLOCK,
    EXPIRED,
    JUNK,
    LIKELY,
    LIMIT,
    MANUAL,
    OPEN,
    SEEN,
    UNDATED,
    UNLINK,
    VETO,
    Flags,
    Ints,
    TypeRules,
    Window,
)

STATUS = {OPEN: "active", JUNK: "junk", LIMIT: "limit", BLOCK: "blocked"}
WHY = {
    JUNK: "junk",
    LIMIT: "limit",
    VETO: "veto",
    EXPIRED: "expired",
    UNLINK: "unlink",
    BLOCK: "block",
}
UNKNOWN = "unknown"


def type_rules(rules: IdentityRules) -> TypeRules:
    """The rules as arrays; the last type stands for those that the rules no longer know."""
    kinds = rules.types
    place = {name: i for i, name in enumerate(rules.names)}
    return TypeRules.make(
        [*rules.names, UNKNOWN],
        [*(t.unique for t in kinds), False],
        [*(t.limit for t in kinds), None],
        [*(t.limit_all for t in kinds), None],
        [*(t.expires_after_days for t in kinds), None],
        [
            Window(i, place[limit.type], limit.at_most, limit.within_days or 0)
            for i, t in enumerate(kinds)
            for limit in t.limits
        ],
    )


def said(verdict: Ints, because: Ints, names: tuple[str, ...]) -> NDArray[np.object_]:
    """Verdicts in words, empty for OPEN."""
    kinds = [*names, UNKNOWN]
    out: NDArray[np.object_] = np.full(len(verdict), "", dtype=object)
    shut = np.flatnonzero(verdict != OPEN)
    rule = verdict[shut] * (len(kinds) + 1) + because[shut] + 1
    for one in np.unique(rule).tolist():
        why, kind = divmod(one, len(kinds) + 1)
        out[shut[rule == one]] = f"{WHY[why]}:{kinds[kind - 1]}" if kind else WHY[why]
    return out


def ints(frame: pa.Table, name: str) -> Ints:
    """A column without nulls as whole numbers."""
    values: Ints = frame.column(name).to_numpy().astype(np.int64, copy=False)
    return values


def flags(frame: pa.Table, name: str) -> Flags:
    """A column of truth values without nulls."""
    found: Flags = frame.column(name).to_numpy().astype(np.bool_, copy=False)
    return found


def numbered(column: pa.ChunkedArray) -> tuple[Numbers, pa.Array]:
    """Texts as numbers in their order, null as the empty one, and the texts."""
    if not len(column):
        return np.zeros(0, dtype=np.int32), pa.array([""], pa.string())
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    texts = ["" if t is None else str(t) for t in whole.dictionary.to_pylist()]
    ordered = sorted({*texts, ""})
    numbers = np.array([ordered.index(t) for t in texts] + [ordered.index("")], dtype=np.int32)
    found = whole.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return numbers[found], pa.array(ordered, pa.string())


def ids(spark: SparkSession, name: str, values: Ints) -> DataFrame:
    """Distinct ids as a frame of one column."""
    return spark.createDataFrame(pa.table({name: distinct(values)}))


def junk_nodes(identifier: DataFrame, rules: IdentityRules) -> DataFrame:
    """Nodes of silver.identifier whose value the rules refuse: node_id."""
    refused = F.lit(False)
    for kind in rules.types:
        refused = refused | (
            (F.col("type") == kind.name) & is_junk(kind.name, F.col("value"), rules)
        )
    return identifier.where(refused).select("node_id")


def node_arrays(nodes: DataFrame, names: tuple[str, ...]) -> DataFrame:
    """Nodes as numbers: node_id, rank, first (microseconds), was (status before, as a code)."""
    was = F.lit(OPEN)
    for code, status in STATUS.items():
        was = F.when(F.col("status") == status, code).otherwise(was)
    return nodes.select(
        "node_id", rank_of("type", names), _micros("first_seen", "first"), was.alias("was")
    )


def evidence_rows(edges: DataFrame, *more: Column) -> DataFrame:
    """What grouping asks of rows of identity.edge; see `drawn_together` for the pairs.

    Returns:
        One row per row: node_a, node_b, at, seen and last (microseconds), grade, weight, told, source,
        reason, changed.
    """
    told = F.col("target").isin(*RECORDED)
    never = F.lit(UNDATED)
    seen = F.when(F.col("target").isin(*DATED), F.unix_micros("first_seen"))
    last = F.when(told, F.unix_micros("last_seen"))
    grade = F.when(F.col("target") == DECISION, MANUAL).when(told, SEEN).otherwise(LIKELY)
    return edges.select(
        "node_a",
        "node_b",
        _micros("first_seen", "at"),
        F.coalesce(seen, never).alias("seen"),
        F.coalesce(last, never).alias("last"),
        grade.cast("byte").alias("grade"),
        F.coalesce("weight", F.lit(1.0)).alias("weight"),
        told.alias("told"),
        "source",
        "reason",
        F.col("_changed").alias("changed"),
        *more,
    )


def link_arrays(links: DataFrame) -> DataFrame:
    """Links as numbers: node_id, customer_id, since (microseconds), open BOOLEAN."""
    is_open = F.col("valid_to").isNull().alias("open")
    return links.select(
        "node_id", "customer_id", F.unix_micros("valid_from").alias("since"), is_open
    )


def rank_of(column: str, names: tuple[str, ...]) -> Column:
    """Place of a type in the order of strength; the last place for types unknown to the rules."""
    out = F.lit(len(names))
    for i, name in enumerate(names):
        out = F.when(F.col(column) == name, i).otherwise(out)
    return out.cast("int").alias("rank")


def _micros(column: str, name: str) -> Column:
    return F.coalesce(F.unix_micros(column), F.lit(UNDATED)).alias(name)
