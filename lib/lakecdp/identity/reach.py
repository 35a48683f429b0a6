"""The part of the identity graph that a batch can change, brought to the driver as arrays.

Groups are components of the graph of allowed pairs, so what a batch changes cannot reach beyond the
customers of the identifiers it touches, and the customers that a veto alone keeps apart from those.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.identity.arrays import connected
from lakecdp.identity.evidence import Changes
from lakecdp.identity.grouping import (
    DAY,
    JUNK,
    OPEN,
    Flags,
    Ints,
    judge,
)
from lakecdp.identity.numbers import evidence_rows, ids, ints, link_arrays, node_arrays
from lakecdp.identity.region import (
    Lake,
    Region,
    closed_nodes,
    drawn_together,
    graph_of,
    over_told,
    region_of,
)

APART = ("veto", "unlink")
"""Reasons that keep customers apart which would be one without them."""
_NONE: Ints = np.zeros(0, dtype=np.int64)


def seeds(edges: Changes, nodes: Changes) -> Ints:
    """Identifiers whose grouping may change: new, vanished, or with a pair that is.

    A pair that had expired may be evidence again whenever it is seen.
    """
    moved = edges.rows.where(
        F.col("_moved") | F.coalesce(F.col("reason").startswith("expired"), F.lit(False))
    ).select("node_a", "node_b")
    ends = moved.union(edges.gone.select("node_a", "node_b")).toArrow()
    new = nodes.rows.where("_new").select("node_id").union(nodes.gone.select("node_id")).toArrow()
    return np.unique(
        np.concatenate([ints(ends, "node_a"), ints(ends, "node_b"), ints(new, "node_id")])
    )


def due(lake: Lake, before: int) -> Ints:
    """Identifiers with a pair that expires, or ceases to be expired, since another run date.

    Args:
        lake: the tables.
        before: end of that run date, microseconds.
    """
    early, late = sorted((before, lake.until))
    found = [_NONE]
    for name, days in zip(lake.rules.names, lake.rules.expires.tolist(), strict=True):
        if days and early != late:
            seen = F.unix_micros("last_seen")
            passed = (seen >= early - days * DAY) & (seen < late - days * DAY)
            rows = lake.edges.where((F.col("type_b") == name) & passed).select("node_a", "node_b")
            table = rows.toArrow()
            found += [ints(table, "node_a"), ints(table, "node_b")]
    return np.unique(np.concatenate(found))


def touched(lake: Lake, starts: Ints) -> Region:
    """The nodes and pairs that a change of some identifiers can reach."""
    rows = _incident(lake, starts).toArrow()
    kinds = _nodes(lake, np.concatenate([ints(rows, "node_a"), ints(rows, "node_b"), starts]))
    known, rank, was = ints(kinds, "node_id"), ints(kinds, "rank"), ints(kinds, "was")
    near, near_told = drawn_together(known, rows)
    asked = np.isin(known, starts)
    over = over_told(known, rank, near, lake.rules)
    closed = np.where(asked, closed_nodes(lake, known, rank, was, over), was)
    freed = (was != OPEN) & (closed == OPEN)
    reach = np.unique(
        np.concatenate([starts, known[near.b[freed[near.a]]], known[near.a[freed[near.b]]]])
    )
    customers = _kept_apart(lake, _customers(lake, reach))
    members = link_arrays(lake.open.join(customers, "customer_id", "left_semi")).toArrow()
    found = _nodes(lake, np.concatenate([ints(members, "node_id"), reach]))
    inside = ints(found, "node_id")
    owners = ids(lake.spark, "node_a", inside)
    rows = evidence_rows(lake.edges.join(owners, "node_a", "left_semi")).toArrow()
    rows = rows.filter(pa.array(np.isin(ints(rows, "node_b"), inside)))
    pairs, told = drawn_together(inside, rows)
    beyond = ~(np.isin(known[near.a], inside) & np.isin(known[near.b], inside))
    out = near.take(beyond)
    outside = judge(
        closed[out.a],
        closed[out.b],
        rank[out.a],
        rank[out.b],
        out.grade,
        lake.rules.expired(out.last, rank[out.b], lake.until),
    )
    status, inner = ints(found, "was"), ints(found, "rank")
    at = np.minimum(np.searchsorted(known, inside), len(known) - 1)
    shut = np.where(known[at] == inside, closed[at], status)
    shut = np.where(inner == len(lake.names), JUNK, shut)
    graph = graph_of(lake, inside, inner, ints(found, "first"), shut, pairs)
    every = pa.concat_tables([told, near_told.filter(pa.array(beyond))]).unify_dictionaries()
    created = _created(lake, ints(members, "customer_id"))
    return region_of(
        graph, every, outside, status, members, created, lambda some: _used(lake, some)
    )


def _nodes(lake: Lake, nodes: Ints) -> pa.Table:
    found = lake.nodes.join(ids(lake.spark, "node_id", nodes), "node_id", "left_semi")
    return node_arrays(found, lake.names).toArrow().sort_by("node_id")


def _created(lake: Lake, customers: Ints) -> pd.Series:
    """Customer id -> microseconds of its first link."""
    wanted = ids(lake.spark, "customer_id", customers)
    rows = lake.links.join(wanted, "customer_id", "left_semi").groupBy("customer_id")
    found = rows.agg(F.unix_micros(F.min("valid_from")).alias("at")).toArrow()
    return pd.Series(ints(found, "at"), index=ints(found, "customer_id"))


def _used(lake: Lake, some: Ints) -> Flags:
    wanted = ids(lake.spark, "customer_id", some)
    hit = lake.links.select("customer_id").join(wanted, "customer_id", "left_semi").distinct()
    return np.isin(some, ints(hit.toArrow(), "customer_id"))


def _incident(lake: Lake, starts: Ints) -> DataFrame:
    """Evidence with an end among the seeds; see `evidence_rows`."""
    ends = [ids(lake.spark, side, starts) for side in ("node_a", "node_b")]
    a, b = (
        lake.edges.join(e, side, "left_semi")
        for e, side in zip(ends, ("node_a", "node_b"), strict=True)
    )
    # A pair with both ends among the seeds comes twice, which minimum and maximum do not notice.
    return evidence_rows(a.unionByName(b))


def _customers(lake: Lake, nodes: Ints) -> Ints:
    wanted = ids(lake.spark, "node_id", nodes)
    found = lake.open.join(wanted, "node_id", "left_semi").select("customer_id").distinct()
    return np.unique(ints(found.toArrow(), "customer_id"))


def _kept_apart(lake: Lake, customers: Ints) -> DataFrame:
    """The customers, and those that APART keeps from them, directly or through others."""
    why = F.split_part("reason", F.lit(":"), F.lit(1))
    vetoed = lake.edges.where(why.isin(*APART)).select("node_a", "node_b").distinct()
    of = lake.open.select("node_id", "customer_id")
    a = of.select(F.col("node_id").alias("node_a"), F.col("customer_id").alias("x"))
    b = of.select(F.col("node_id").alias("node_b"), F.col("customer_id").alias("y"))
    apart = vetoed.join(a, "node_a").join(b, "node_b").select("x", "y").distinct().toArrow()
    x, y = ints(apart, "x"), ints(apart, "y")
    if not len(x) or not len(customers):
        return ids(lake.spark, "customer_id", customers)
    every = np.unique(np.concatenate([x, y, customers]))
    label = connected(len(every), np.searchsorted(every, x), np.searchsorted(every, y))[1]
    reached = np.isin(label, label[np.searchsorted(every, customers)])
    return ids(lake.spark, "customer_id", every[reached])
