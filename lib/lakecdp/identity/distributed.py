"""Grouping of more identifiers than the driver holds, with the same outcome as on the driver.

Identifiers that can have to do with each other are a family: those joined by allowed pairs, and those
that were one customer before. Families are found by contraction (see `contraction`); they share neither
customers nor ids, so each can be grouped by itself. They are dealt into as many lots as are needed for
one to fit into the memory of a worker, and a lot is grouped by the very functions that group
everything on the driver (`grouping.group`, `customers.assign`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lakecdp.identity.arrays import is_among
from lakecdp.identity.contraction import Keep, components, rooted
from lakecdp.identity.customers import NONE
from lakecdp.identity.grouping import (
    BLOCK,
    DAY,
    EXPIRED,
    JUNK,
    LIMIT,
    MANUAL,
    OPEN,
    VETO,
    TypeRules,
    over_limit,
)
from lakecdp.identity.lots import OUTCOME, Said, grouped
from lakecdp.identity.numbers import (
    STATUS,
    UNKNOWN,
    WHY,
    evidence_rows,
    ids,
    ints,
    node_arrays,
    rank_of,
)
from lakecdp.identity.region import Lake
from lakecdp.identity.shared import SHARED

_MET = ("node_a", "node_b", "rank_a", "rank_b", "seen")
_ROWS = (
    *("node_a", "node_b", "at", "seen", "last", "grade", "weight", "told"),
    *("source", "reason", "changed"),
)


@dataclass(frozen=True)
class Regrouped:
    """The outcome, as frames.

    Attributes:
        nodes: how many identifiers were grouped.
        statuses: status of nodes that are or were not active: node_id, _now.
        verdicts: reason of pairs that are or were blocked, empty for none: node_a, node_b, _now.
        moved: identifiers with another customer than before: node_id, customer_id, before, since.
        lost: links of identifiers that exist no more: node_id, customer_id, since.
        ledger: kind, customer_id, from_customer_id, nodes, node_a, node_b, source.
        latest: when the last link in force began, microseconds; 0 without any.
    """

    nodes: int
    statuses: DataFrame
    verdicts: DataFrame
    moved: DataFrame
    lost: DataFrame
    ledger: DataFrame
    latest: int


def regroup(
    lake: Lake, withdrawn: DataFrame, in_memory: int, keep: Keep, devices: Sequence[int] = ()
) -> Regrouped:
    """Group all identifiers of a lake and give them customers.

    Args:
        lake: the tables as they will be.
        withdrawn: pairs that were evidence before and are none now: node_a, node_b.
        in_memory: how many edges one process may hold.
        keep: gives the same rows, computed once.
        devices: places of the types that stand for a device, which persons may share.
    """
    nodes = keep(node_arrays(lake.nodes, lake.names))
    rows = keep(_ranked(lake))
    shut = keep(_shut(lake, nodes, rows, in_memory))
    allowed, barred = _parted(lake, rows, shut, keep)
    roots = components(
        allowed.select(F.col("node_a").alias("owner"), F.col("node_b").alias("other")),
        in_memory,
        keep,
    )
    links = keep(_open_links(lake))
    homes = rooted(nodes, "node_id", roots, "family")
    first_run = lake.links.isEmpty()
    if not first_run:
        homes = rooted(homes, "family", _once_together(homes, links, in_memory, keep), "whole")
        homes = homes.drop("family").withColumnRenamed("whole", "family")
    size = nodes.count()
    homes = keep(
        homes.select("node_id", "rank", "first", "was", _lot_of("family", size, in_memory))
    )
    told, apart = _dealt(homes, allowed, barred, withdrawn, keep)
    members = keep(_members(lake, homes, shut, links, first_run))
    found = _settled(members, told, lake, keep)
    latest = members.agg(F.max("since")).first()
    lost = links.join(nodes, "node_id", "left_anti")
    return Regrouped(
        size,
        _statuses(lake, nodes, shut, found, devices),
        _verdicts(lake, apart, found),
        found.where("what = 'link'").select(
            F.col("x").alias("node_id"), F.col("y").alias("customer_id"), "before", "since"
        ),
        lost,
        _ledger(found, lost),
        int(latest[0] or 0) if latest else 0,
    )


def _lot_of(column: str, size: int, in_memory: int) -> Column:
    """Number of a lot, of as many as are needed for one to be small enough."""
    lots = max(1, -(-size // max(1, in_memory)))
    return F.pmod(F.xxhash64(column), F.lit(lots)).cast("int").alias("lot")


def _ranked(lake: Lake) -> DataFrame:
    """Rows of evidence with the types of both ends, which their ids are made of."""
    ranks = [rank_of(f"type_{s}", lake.names).alias(f"rank_{s}") for s in "ab"]
    return evidence_rows(lake.edges, *ranks)


def _shut(lake: Lake, nodes: DataFrame, rows: DataFrame, in_memory: int) -> DataFrame:
    """Nodes that join nothing: node_id, closed."""
    unknown = F.col("rank") == len(lake.names)
    why = F.when((F.col("was") == JUNK) | unknown, JUNK)
    shut = nodes
    for name, blocked, code in (
        ("_blocked", ids(lake.spark, "node_id", lake.decided.blocked), BLOCK),
        ("_over", _over_limit(rows, lake.rules, in_memory), LIMIT),
    ):
        if blocked is None or (code == BLOCK and not len(lake.decided.blocked)):
            continue
        shut = shut.join(blocked.withColumn(name, F.lit(True)), "node_id", "left")
        why = why.when(F.col(name), code)
    return shut.select("node_id", why.alias("closed")).where("closed IS NOT NULL")


def _over_limit(rows: DataFrame, rules: TypeRules, in_memory: int) -> DataFrame | None:
    """Nodes that meet more others than they may: node_id; by `grouping.over_limit`."""
    least: dict[int, int] = {}
    limits = [
        *(
            (k, int(v))
            for every in (rules.limit, rules.limit_all)
            for k, v in enumerate(every)
            if v
        ),
        *((w.kind, w.at_most) for w in rules.windows),
    ]
    for kind, most in limits:
        least[kind] = min(most, least.get(kind, most))
    if not least:
        return None
    told = rows.where("told")
    one, two = (
        told.where(F.col(f"rank_{side}").isin(list(least))).select(
            F.col(f"node_{side}").alias("node_id"), F.col(f"rank_{side}").alias("rank"), *_MET
        )
        for side in "ab"
    )
    ends = one.unionByName(two)
    allowed: Column = F.lit(None).cast("bigint")
    for kind, most in least.items():
        allowed = F.when(F.col("rank") == kind, F.lit(most)).otherwise(allowed)
    # A pair may stand in several rows, so that more are looked at than are over their limit.
    many = ends.groupBy("node_id").agg(F.count(F.lit(1)).alias("n"), F.min("rank").alias("rank"))
    some = ends.join(many.where(F.col("n") > allowed).select("node_id"), "node_id", "left_semi")
    lots = some.withColumn("lot", _lot_of("node_id", 64 * in_memory, in_memory)).groupBy("lot")
    # PySpark looks for type hints, which a partial has not and stumbles over.
    return lots.applyInArrow(lambda lot: _over_in_lot(lot, rules=rules), "node_id BIGINT")


def _over_in_lot(ends: pa.Table, *, rules: TypeRules) -> pa.Table:
    """The nodes of a lot that are over their limit, by all the pairs that show them."""
    a, b = ints(ends, "node_a"), ints(ends, "node_b")
    nodes, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    rank = np.empty(len(nodes), dtype=np.int64)
    rank[place] = np.concatenate([ints(ends, "rank_a"), ints(ends, "rank_b")])
    a, b = place[: len(a)], place[len(a) :]
    seen = ints(ends, "seen")
    order = np.lexsort((seen, b, a))
    pair = (a * len(nodes) + b)[order]
    first = order[np.r_[True, pair[1:] != pair[:-1]]]
    over = over_limit(nodes, rank, a[first], b[first], rules, seen[first])
    return pa.table({"node_id": nodes[over & is_among(nodes, ints(ends, "node_id"))]})


def _parted(
    lake: Lake, rows: DataFrame, shut: DataFrame, keep: Keep
) -> tuple[DataFrame, DataFrame | None]:
    """Rows that let their pair join, and others, with closed_a and closed_b; as `grouping.judge`.

    A pair of several rows joins when one of them lets it.
    """
    late: Column = F.lit(False)
    for kind, days in enumerate(lake.rules.expires.tolist()):
        if days:
            late = late | ((F.col("rank_b") == kind) & (F.col("last") < lake.until - days * DAY))
    closed = not shut.isEmpty()
    if not closed and not lake.rules.expires.any():
        return rows, None
    marked = rows.withColumns({"closed_a": F.lit(OPEN), "closed_b": F.lit(OPEN)})
    for side in "ab" if closed else "":
        name = f"closed_{side}"
        ends = shut.select(F.col("node_id").alias(f"node_{side}"), F.col("closed").alias(name))
        marked = marked.drop(name).join(ends, f"node_{side}", "left").fillna({name: OPEN})
    either = [F.col("closed_a"), F.col("closed_b")]
    blocked = (either[0] == BLOCK) | (either[1] == BLOCK)
    ruled = either[0].isin(JUNK, LIMIT) | either[1].isin(JUNK, LIMIT)
    may = ~late & ~blocked & (~ruled | (F.col("grade") == MANUAL))
    marked = keep(marked.withColumn("_may", may))
    return marked.where("_may"), marked.where("NOT _may")


def _open_links(lake: Lake) -> DataFrame:
    return lake.open.select("node_id", "customer_id", F.unix_micros("valid_from").alias("since"))


def _once_together(homes: DataFrame, links: DataFrame, in_memory: int, keep: Keep) -> DataFrame:
    """Families that a customer had identifiers of are one."""
    of = links.join(homes.select("node_id", "family"), "node_id").select("customer_id", "family")
    low = of.groupBy("customer_id").agg(
        F.min("family").alias("owner"), F.max("family").alias("high")
    )
    several = low.where("owner < high").select("customer_id", "owner")
    ties = of.join(several, "customer_id").where("family <> owner")
    return components(
        keep(ties.select("owner", F.col("family").alias("other")).distinct()), in_memory, keep
    )


def _dealt(
    homes: DataFrame,
    allowed: DataFrame,
    barred: DataFrame | None,
    withdrawn: DataFrame,
    keep: Keep,
) -> tuple[DataFrame, DataFrame | None]:
    """Rows of evidence, and withdrawn pairs, with their lot; and rows between two lots."""
    of_a, of_b = (
        homes.select(F.col("node_id").alias(f"node_{s}"), F.col("lot").alias(name))
        for s, name in (("a", "lot"), ("b", "_other"))
    )
    here = F.lit(False).alias("gone")
    told = allowed.join(of_a, "node_a").select(*_ROWS, here, "lot")
    across = None
    if barred is not None:
        both = keep(barred.join(of_a, "node_a").join(of_b, "node_b"))
        told = told.unionByName(both.where("lot = _other").select(*_ROWS, here, "lot"))
        across = both.where("lot <> _other")
    ends = withdrawn.select("node_a", "node_b").distinct()
    ends = ends.join(of_a, "node_a").join(of_b, "node_b").where("lot = _other")
    types = {f.name: f.dataType for f in told.schema}
    blank = [F.lit(None).cast(types[c]).alias(c) for c in _ROWS if c not in ("node_a", "node_b")]
    return told.unionByName(
        ends.select("node_a", "node_b", *blank, F.lit(True).alias("gone"), "lot")
    ), across


def _members(
    lake: Lake, homes: DataFrame, shut: DataFrame, links: DataFrame, first_run: bool
) -> DataFrame:
    """Nodes with all that grouping asks of them."""
    out = homes.join(shut.select("node_id", "closed"), "node_id", "left").withColumn(
        "closed", F.coalesce("closed", F.lit(OPEN))
    )
    zero = F.lit(0).cast("bigint")
    if first_run:
        nothing = {"customer_id": zero, "since": zero, "created": zero, "taken": F.lit(False)}
        return out.withColumns(nothing)
    began = lake.links.groupBy("customer_id").agg(
        F.unix_micros(F.min("valid_from")).alias("created")
    )
    out = out.join(links, "node_id", "left").join(began, "customer_id", "left")
    ever = began.select(F.col("customer_id").alias("node_id"), F.lit(True).alias("taken"))
    out = out.join(ever, "node_id", "left")
    return out.fillna(0, ["customer_id", "since", "created"]).fillna(False, ["taken"])


def _settled(members: DataFrame, told: DataFrame, lake: Lake, keep: Keep) -> DataFrame:
    """Every lot grouped; see `lots.grouped`."""
    taken = np.zeros(0, dtype=np.int64)
    said = Said(lake.names, lake.rules, lake.decided, lake.until)
    while True:
        lots = members.groupBy("lot").cogroup(told.groupBy("lot"))
        found = keep(lots.applyInArrow(partial(grouped, said=said, taken=taken), OUTCOME))
        # An id made up because the founder's own was used: whether it was used too, only the lake
        # knows. It never is, but for a collision of 63 bits.
        asked = found.where("what = 'asked'").select(F.col("x").alias("customer_id"))
        used = lake.links.select("customer_id").join(asked, "customer_id", "left_semi").distinct()
        clash = np.setdiff1d(ints(used.toArrow(), "customer_id"), taken)
        if not len(clash):
            return found
        taken = np.union1d(taken, clash)


def _statuses(
    lake: Lake, nodes: DataFrame, shut: DataFrame, found: DataFrame, devices: Sequence[int]
) -> DataFrame:
    """Status of nodes that are not active, or were not; as `shared.kept_apart` for devices."""
    now: Column = F.when(F.col("_shared"), SHARED).otherwise(STATUS[OPEN])
    for code, status in STATUS.items():
        if code != OPEN:
            now = F.when(F.col("closed") == code, status).otherwise(now)
    vetoed = found.where((F.col("what") == "pair") & F.col("text").startswith(WHY[VETO]))
    ends = vetoed.select(F.explode(F.array("x", "y")).alias("node_id")).distinct()
    kept = nodes.where(F.col("rank").isin(list(devices))).join(ends, "node_id", "left_semi")
    kept = kept.select("node_id", F.lit(True).alias("_shared"))
    was = nodes.where(F.col("was") != OPEN).select("node_id")
    shared = lake.nodes.where(F.col("status") == SHARED).select("node_id")
    every = was.union(shut.select("node_id")).union(shared).union(kept.select("node_id"))
    told = every.distinct().join(shut, "node_id", "left").join(kept, "node_id", "left")
    return told.select("node_id", now.alias("_now"))


def _verdicts(lake: Lake, across: DataFrame | None, found: DataFrame) -> DataFrame:
    """Reasons of pairs that are or were blocked: within lots, and between two."""
    inside = found.where("what = 'pair'").select(
        F.col("x").alias("node_a"), F.col("y").alias("node_b"), F.col("text").alias("_now")
    )
    if across is None:
        return inside
    kinds = F.array(*[F.lit(n) for n in (*lake.names, UNKNOWN)])
    pairs = across.groupBy("node_a", "node_b").agg(
        F.min("grade").alias("grade"),
        *(F.min(c).alias(c) for c in ("rank_a", "rank_b", "closed_a", "closed_b")),
    )
    # As `grouping.judge`, the last one that holds: what is not closed can only have expired.
    said: Column = F.concat(F.lit(f"{WHY[EXPIRED]}:"), F.get(kinds, F.col("rank_b")))
    for why in (LIMIT, BLOCK, JUNK):
        for side in "ab":
            text = F.concat(F.lit(f"{WHY[why]}:"), F.get(kinds, F.col(f"rank_{side}")))
            hit = F.col(f"closed_{side}") == why
            rules = hit if why == BLOCK else hit & (F.col("grade") != MANUAL)
            said = F.when(rules, text).otherwise(said)
    return inside.unionByName(pairs.select("node_a", "node_b", said.alias("_now")))


def _ledger(found: DataFrame, lost: DataFrame) -> DataFrame:
    """The ledger of all lots, with identifiers that exist no more."""

    def real(name: str, alias: str) -> Column:
        return F.when(F.col(name) != NONE, F.col(name)).alias(alias)

    changes = found.where("what = 'change'").select(
        F.col("text").alias("kind"),
        F.col("x").alias("customer_id"),
        real("before", "from_customer_id"),
        "nodes",
        real("y", "node_a"),
        real("since", "node_b"),
        "source",
    )
    none = F.lit(None).cast("bigint")
    taken = (
        lost.groupBy("customer_id")
        .agg(F.count(F.lit(1)).alias("nodes"))
        .select(
            F.lit("withdraw").alias("kind"),
            "customer_id",
            none.alias("from_customer_id"),
            "nodes",
            none.alias("node_a"),
            none.alias("node_b"),
            F.lit(None).cast("string").alias("source"),
        )
    )
    return changes.unionByName(taken)


_CHUNKS = 1024


def numbered_changes(ledger: DataFrame, keep: Keep) -> DataFrame:
    """Rows of the ledger with their number from 1, by customer, kind and former customer.

    Customers are counted in chunks of their ids, so that no one sort has to hold them all.
    """
    width = (1 << 63) // _CHUNKS
    chunked = keep(ledger.withColumn("_chunk", F.expr(f"customer_id div {width}")))
    sizes: dict[int, int] = dict(chunked.groupBy("_chunk").count().collect())
    before, sums = 0, []
    for chunk in sorted(sizes):
        sums.append((chunk, before))
        before += sizes[chunk]
    spark: SparkSession = ledger.sparkSession
    offsets = spark.createDataFrame(sums, "_chunk BIGINT, _before BIGINT")
    order = Window.partitionBy("_chunk").orderBy(
        "customer_id", "kind", F.coalesce("from_customer_id", F.lit(0))
    )
    counted = chunked.join(F.broadcast(offsets), "_chunk")
    return counted.withColumn("number", F.row_number().over(order) + F.col("_before")).drop(
        "_chunk", "_before"
    )
