"""The part of the identity graph that a batch can change, brought to the driver as arrays.

Groups are components of the graph of allowed pairs, so what a batch changes cannot reach beyond the
customers of the identifiers it touches, and the customers that a veto alone keeps apart from those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lakecdp.governance.identifiers import IdentityRules, is_junk
from lakecdp.identity.evidence import DATED, DECISION, INPUTS, Changes
from lakecdp.identity.grouping import (
    BLOCK,
    DAY,
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
    Graph,
    Ints,
    TypeRules,
    Window,
    judge,
    over_limit,
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
APART = ("veto", "unlink")
"""Reasons that keep customers apart which would be one without them."""
UNKNOWN = "unknown"
RECORDED = tuple(t for t in INPUTS if t.startswith("silver."))
Arrays = dict[str, NDArray[np.generic]]
_NONE: Ints = np.zeros(0, dtype=np.int64)


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


def ints(frame: pa.Table, name: str) -> Ints:
    """A column without nulls as whole numbers."""
    values: Ints = frame.column(name).to_numpy().astype(np.int64, copy=False)
    return values


def ids(spark: SparkSession, name: str, values: Ints) -> DataFrame:
    """Distinct ids as a frame of one column."""
    return spark.createDataFrame(pa.table({name: np.unique(values)}))


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
        "node_id", _rank("type", names), _micros("first_seen", "first"), was.alias("was")
    )


def pair_arrays(edges: DataFrame, names: tuple[str, ...]) -> DataFrame:
    """Pairs as numbers, each once.

    Returns:
        One row per pair: node_a, node_b, rank_a, rank_b, seen (microseconds, by dated records),
        last (microseconds; UNDATED for what never expires), grade, weight, told (by records),
        source (of the first record), was (reason before, or empty), changed.
    """
    dated = F.when(F.col("target").isin(*DATED), F.col("first_seen"))
    told = F.col("target").isin(*RECORDED)
    last = F.when(told, F.coalesce(F.unix_micros("last_seen"), F.lit(UNDATED)))
    grade = F.when(F.col("target") == DECISION, MANUAL).when(told, SEEN).otherwise(LIKELY)
    first = F.min(F.struct(F.col("first_seen").isNull(), F.col("first_seen"), F.col("source")))
    grouped = edges.groupBy("node_a", "node_b").agg(
        F.min("type_a").alias("type_a"),
        F.min("type_b").alias("type_b"),
        F.min(dated).alias("at"),
        F.max(F.coalesce(last, F.lit(UNDATED))).alias("last"),
        F.min(grade).alias("grade"),
        F.max(F.coalesce("weight", F.lit(1.0))).alias("weight"),
        F.max(told).alias("told"),
        first["source"].alias("source"),
        F.max(F.coalesce("reason", F.lit(""))).alias("was"),
        F.max("_changed").alias("changed"),
    )
    return grouped.select(
        "node_a",
        "node_b",
        _rank("type_a", names).alias("rank_a"),
        _rank("type_b", names).alias("rank_b"),
        _micros("at", "seen"),
        "last",
        "grade",
        "weight",
        "told",
        "source",
        "was",
        "changed",
    )


def _rank(column: str, names: tuple[str, ...]) -> Column:
    out = F.lit(len(names))
    for i, name in enumerate(names):
        out = F.when(F.col(column) == name, i).otherwise(out)
    return out.cast("int").alias("rank")


def _micros(column: str, name: str) -> Column:
    return F.coalesce(F.unix_micros(column), F.lit(UNDATED)).alias(name)


@dataclass(frozen=True)
class Region:
    """What is grouped again.

    Attributes:
        graph: nodes, and the pairs with both ends among them.
        pairs: the pairs of the graph with source, was and changed; then pairs outside the graph
            whose verdict may change all the same (one end meets too many others).
        outside: verdict and type of the pairs outside.
        was: status of each node before, as a code.
        customer: customer of each node before, 0 for none.
        since: start of that link, microseconds.
        lost: open links of identifiers that exist no more: node_id, customer_id, since.
        created: customer id -> when its first link began, microseconds.
        used: which of some ids were ever a customer id.
    """

    graph: Graph
    pairs: pa.Table
    outside: tuple[Ints, Ints]
    was: Ints
    customer: Ints
    since: Ints
    lost: pa.Table
    created: pd.Series
    used: Callable[[Ints], Flags]


@dataclass(frozen=True)
class Decided:
    """What persons have decided besides links, which are edges.

    Attributes:
        blocked: nodes that join nothing.
        apart: ends of pairs of nodes that must never share a customer.
    """

    blocked: Ints = field(default_factory=lambda: _NONE)
    apart: tuple[Ints, Ints] = (_NONE, _NONE)

    def within(self, nodes: Ints) -> tuple[Ints, Ints]:
        """Places of the ends in `nodes` (ascending), for pairs with both ends there."""
        a, b = self.apart
        both = np.isin(a, nodes) & np.isin(b, nodes)
        return np.searchsorted(nodes, a[both]), np.searchsorted(nodes, b[both])


@dataclass(frozen=True)
class Lake:
    """The tables as they will be, but for the verdicts.

    Attributes:
        nodes: identity.node with `_changed`.
        edges: identity.edge with `_changed`, without removed rows.
        links: identity.link, closed rows too.
        names: identifier types, strongest first.
        rules: the same with limits.
        decided: what persons have decided.
        until: end of the run date, microseconds.
    """

    nodes: DataFrame
    edges: DataFrame
    links: DataFrame
    names: tuple[str, ...]
    rules: TypeRules
    decided: Decided
    until: int

    @property
    def open(self) -> DataFrame:
        """The links in force."""
        return self.links.where("valid_to IS NULL")

    @property
    def spark(self) -> SparkSession:
        """The session of the tables."""
        return self.nodes.sparkSession


def everything(lake: Lake) -> Region:
    """All nodes and pairs."""
    nodes = node_arrays(lake.nodes, lake.names).toArrow().sort_by("node_id")
    pairs = pair_arrays(lake.edges, lake.names).toArrow()
    links = _links(lake.links).toArrow()
    ever, since = ints(links, "customer_id"), ints(links, "since")
    created = pd.Series(since, index=ever).groupby(level=0).min()
    known, rank, was = ints(nodes, "node_id"), ints(nodes, "rank"), ints(nodes, "was")
    a = np.searchsorted(known, ints(pairs, "node_a"))
    b = np.searchsorted(known, ints(pairs, "node_b"))
    over = _over(lake, known, rank, pairs, a, b)
    closed = _closed(lake, known, rank, was, over)
    graph = _graph(lake, known, rank, ints(nodes, "first"), closed, pairs)
    none = np.zeros(0, dtype=np.int64)
    current = links.filter(links.column("open"))
    index = pd.Index(ever)
    return _region(
        graph, pairs, (none, none), was, current, created, lambda some: pd.Index(some).isin(index)
    )


def _over(lake: Lake, known: Ints, rank: Ints, pairs: pa.Table, a: Ints, b: Ints) -> Flags:
    """Nodes that records show with more others than they may meet."""
    told = pairs.column("told").to_numpy(zero_copy_only=False)
    return over_limit(known, rank, a[told], b[told], lake.rules, ints(pairs, "seen")[told])


def _closed(lake: Lake, known: Ints, rank: Ints, was: Ints, over: Flags) -> Ints:
    """Why each node joins nothing, where it does not: junk before block before limit."""
    closed: Ints = np.where(over, LIMIT, OPEN).astype(np.int64)
    closed[np.isin(known, lake.decided.blocked)] = BLOCK
    closed[(was == JUNK) | (rank == len(lake.names))] = JUNK
    return closed


def _graph(
    lake: Lake, known: Ints, rank: Ints, first: Ints, closed: Ints, pairs: pa.Table
) -> Graph:
    """The graph of some nodes and of the pairs among them."""
    a = np.searchsorted(known, ints(pairs, "node_a"))
    b = np.searchsorted(known, ints(pairs, "node_b"))
    return Graph(
        known,
        rank,
        first,
        closed,
        a,
        b,
        ints(pairs, "seen"),
        ints(pairs, "grade"),
        pairs.column("weight").to_numpy(),
        lake.rules.expired(ints(pairs, "last"), rank[b], lake.until),
        lake.decided.within(known),
    )


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
    near = _incident(lake, starts).toArrow()
    kinds = _nodes(lake, np.concatenate([ints(near, "node_a"), ints(near, "node_b"), starts]))
    known, rank, was = ints(kinds, "node_id"), ints(kinds, "rank"), ints(kinds, "was")
    a, b = (
        np.searchsorted(known, ints(near, "node_a")),
        np.searchsorted(known, ints(near, "node_b")),
    )
    asked = np.isin(known, starts)
    over = _over(lake, known, rank, near, a, b)
    closed = np.where(asked, _closed(lake, known, rank, was, over), was)
    freed = (was != OPEN) & (closed == OPEN)
    reach = np.unique(np.concatenate([starts, known[b[freed[a]]], known[a[freed[b]]]]))
    customers = _kept_apart(lake, _customers(lake, reach))
    members = _links(lake.open.join(customers, "customer_id", "left_semi")).toArrow()
    found = _nodes(lake, np.concatenate([ints(members, "node_id"), reach]))
    inside = ints(found, "node_id")
    owners = ids(lake.spark, "node_a", inside)
    pairs = pair_arrays(lake.edges.join(owners, "node_a", "left_semi"), lake.names).toArrow()
    pairs = pairs.filter(pa.array(np.isin(ints(pairs, "node_b"), inside)))
    beyond = ~(np.isin(known[a], inside) & np.isin(known[b], inside))
    outside = judge(
        closed[a[beyond]],
        closed[b[beyond]],
        rank[a[beyond]],
        rank[b[beyond]],
        ints(near, "grade")[beyond],
        lake.rules.expired(ints(near, "last")[beyond], rank[b[beyond]], lake.until),
    )
    status, inner = ints(found, "was"), ints(found, "rank")
    at = np.minimum(np.searchsorted(known, inside), len(known) - 1)
    shut = np.where(known[at] == inside, closed[at], status)
    shut = np.where(inner == len(lake.names), JUNK, shut)
    graph = _graph(lake, inside, inner, ints(found, "first"), shut, pairs)
    every = pa.concat_tables([pairs, near.filter(pa.array(beyond))])
    created = _created(lake, ints(members, "customer_id"))
    return _region(graph, every, outside, status, members, created, lambda some: _used(lake, some))


def _region(
    graph: Graph,
    pairs: pa.Table,
    outside: tuple[Ints, Ints],
    was: Ints,
    links: pa.Table,
    created: pd.Series,
    used: Callable[[Ints], Flags],
) -> Region:
    known = graph.nodes
    customer = np.zeros(len(known), dtype=np.int64)
    since = np.zeros(len(known), dtype=np.int64)
    owner = ints(links, "node_id")
    here: Flags = np.isin(owner, known)
    at = np.searchsorted(known, owner[here])
    customer[at] = ints(links, "customer_id")[here]
    since[at] = ints(links, "since")[here]
    lost = links.filter(pa.array(~here))
    return Region(graph, pairs, outside, was, customer, since, lost, created, used)


def _links(links: DataFrame) -> DataFrame:
    is_open = F.col("valid_to").isNull().alias("open")
    return links.select(
        "node_id", "customer_id", F.unix_micros("valid_from").alias("since"), is_open
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
    """Pairs with an end among the seeds."""
    ends = [ids(lake.spark, side, starts) for side in ("node_a", "node_b")]
    a, b = (
        lake.edges.join(e, side, "left_semi")
        for e, side in zip(ends, ("node_a", "node_b"), strict=True)
    )
    # A pair with both ends among the seeds comes twice, which minimum and maximum do not notice.
    return pair_arrays(a.unionByName(b), lake.names)


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
    ends = (np.searchsorted(every, x), np.searchsorted(every, y))
    graph = coo_array((np.ones(len(x), dtype=np.int8), ends), shape=(len(every), len(every)))
    label = connected_components(graph, directed=False)[1]
    reached = np.isin(label, label[np.searchsorted(every, customers)])
    return ids(lake.spark, "customer_id", every[reached])
