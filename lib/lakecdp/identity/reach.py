"""The part of the identity graph that a batch can change, brought to the driver as arrays.

Groups are components of the graph of allowed pairs, so what a batch changes cannot reach beyond the
customers of the identifiers it touches, and the customers that a veto alone keeps apart from those.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from lakecdp.identity.arrays import connected, distinct, is_among
from lakecdp.identity.grouping import (
    DAY,
    JUNK,
    OPEN,
    Ints,
    judge,
)
from lakecdp.identity.lookup import Brought, Lookup
from lakecdp.identity.numbers import UNKNOWN, ints
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


def seeds(edges: Brought, nodes: Brought) -> Ints:
    """Identifiers whose grouping may change: new, vanished, or with a pair that is.

    A pair that had expired may be evidence again whenever it is seen.
    """
    again = pc.fill_null(pc.starts_with(edges.rows.column("reason"), "expired"), False)
    moved = edges.rows.filter(pc.or_(edges.rows.column("_moved"), again))
    new = nodes.rows.filter(nodes.rows.column("_new"))
    ends = [ints(t, side) for t in (moved, edges.gone) for side in ("node_a", "node_b")]
    return distinct(np.concatenate([*ends, *(ints(t, "node_id") for t in (new, nodes.gone))]))


def due(lake: Lake, before: int) -> Ints:
    """Identifiers with a pair that expires, or ceases to be expired, since another run date.

    Args:
        lake: the tables.
        before: end of that run date, microseconds.
    """
    early, late = sorted((before, lake.until))
    limits = zip(lake.rules.names, lake.rules.expires.tolist(), strict=True)
    seen, due = F.unix_micros("last_seen"), F.lit(False)
    for name, days in limits:
        if days:
            passed = (seen >= early - days * DAY) & (seen < late - days * DAY)
            due = due | ((F.col("type_b") == name) & passed)
    if early == late or not lake.rules.expires.any():
        return _NONE
    rows = lake.edges.where(due).select("node_a", "node_b").toArrow()
    return distinct(np.concatenate([ints(rows, "node_a"), ints(rows, "node_b")]))


def touched(lake: Lake, look: Lookup, starts: Ints) -> Region:
    """The nodes and pairs that a change of some identifiers can reach."""
    # A pair with both ends among them comes twice, which minimum and maximum do not notice.
    rows = _joined([look.edges(side, starts) for side in ("node_a", "node_b")])
    kinds = look.nodes(np.concatenate([ints(rows, "node_a"), ints(rows, "node_b"), starts]))
    known, rank, was = ints(kinds, "node_id"), ints(kinds, "rank"), ints(kinds, "was")
    near, near_told = drawn_together(known, rows)
    asked = is_among(known, starts)
    over = over_told(known, rank, near, lake.rules)
    closed = np.where(asked, closed_nodes(lake, known, rank, was, over), was)
    freed = (was != OPEN) & (closed == OPEN)
    reach = distinct(
        np.concatenate([starts, known[near.b[freed[near.a]]], known[near.a[freed[near.b]]]])
    )
    links = look.tables.links("customer_id", _customers(look, reach))
    members = links.filter(links.column("open"))
    found = look.nodes(np.concatenate([ints(members, "node_id"), reach]))
    inside = ints(found, "node_id")
    rows = look.edges("node_a", inside)
    rows = rows.filter(pa.array(is_among(ints(rows, "node_b"), inside)))
    pairs, told = drawn_together(inside, rows)
    beyond = ~(is_among(known[near.a], inside) & is_among(known[near.b], inside))
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
    created = pd.Series(ints(links, "since"), index=ints(links, "customer_id"))
    return region_of(
        graph,
        every,
        outside,
        status,
        members,
        created.groupby(level=0).min(),
        lambda some: is_among(some, ints(look.tables.links("customer_id", some), "customer_id")),
    )


def _joined(parts: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts).unify_dictionaries()


def _customers(look: Lookup, nodes: Ints) -> Ints:
    """Customers of identifiers, and those that APART keeps from them, directly or through others."""
    names = (*look.names, UNKNOWN)
    reasons = [r for why in APART for r in (why, *(f"{why}:{n}" for n in names))]
    a, b = look.tables.pairs_for(reasons)
    links = look.tables.links("node_id", np.concatenate([nodes, a, b]))
    links = links.filter(links.column("open"))
    of = pd.Series(ints(links, "customer_id"), index=ints(links, "node_id"))
    customers = distinct(of[of.index.isin(nodes)].to_numpy())
    both = is_among(a, of.index.to_numpy()) & is_among(b, of.index.to_numpy())
    x, y = (of.reindex(side[both]).to_numpy() for side in (a, b))
    if not len(x) or not len(customers):
        return customers
    every = distinct(np.concatenate([x, y, customers]))
    label = connected(len(every), np.searchsorted(every, x), np.searchsorted(every, y))[1]
    reached = is_among(label, label[np.searchsorted(every, customers)])
    return every[reached]
