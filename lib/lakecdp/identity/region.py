"""The part of the identity graph that a batch can change, brought to the driver as arrays.

Groups are components of the graph of allowed pairs, so what a batch changes cannot reach beyond the
customers of the identifiers it touches, and the customers that a veto alone keeps apart from those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules, is_junk
from lakecdp.identity.arrays import Numbers, Rows, ascending, connected, one_per_pair, places
from lakecdp.identity.evidence import DATED, DECISION, RECORDED, Changes
from lakecdp.identity.files import Files
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
        "node_id", rank_of("type", names), _micros("first_seen", "first"), was.alias("was")
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
        rank_of("type_a", names).alias("rank_a"),
        rank_of("type_b", names).alias("rank_b"),
        _micros("at", "seen"),
        "last",
        "grade",
        "weight",
        "told",
        "source",
        "was",
        "changed",
    )


def rank_of(column: str, names: tuple[str, ...]) -> Column:
    """Place of a type in the order of strength; the last place for types unknown to the rules."""
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
        if not len(a):
            return _NONE, _NONE
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
        files: the same nodes, edges and links by their files, where nothing lies over them.
    """

    nodes: DataFrame
    edges: DataFrame
    links: DataFrame
    names: tuple[str, ...]
    rules: TypeRules
    decided: Decided
    until: int
    files: Files | None = None

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
    nodes = lake.files.nodes(lake.names) if lake.files else None
    if nodes is None:
        nodes = node_arrays(lake.nodes, lake.names).toArrow()
    rows = lake.files.edges() if lake.files else None
    if rows is None:
        rows = evidence_rows(lake.edges).toArrow()
    links = lake.files.links() if lake.files else None
    if links is None:
        links = link_arrays(lake.links).toArrow()
    return whole(lake, nodes, rows, links)


def evidence_rows(edges: DataFrame, *more: Column) -> DataFrame:
    """What grouping asks of rows of identity.edge; the pairs of `pair_arrays`, not yet drawn together.

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


def whole(lake: Lake, nodes: pa.Table, rows: pa.Table, links: pa.Table) -> Region:
    """A region of all that some tables hold.

    Args:
        lake: rules and decisions.
        nodes: see `node_arrays`.
        rows: see `evidence_rows`; both ends of each are among the nodes.
        links: node_id, customer_id, since and open, closed ones too.
    """
    unordered = ints(nodes, "node_id")
    by = ascending([unordered])
    known = unordered[by]
    rank, first, was = (ints(nodes, c)[by] for c in ("rank", "first", "was"))
    pairs, told = drawn_together(known, rows)
    over = over_told(known, rank, pairs, lake.rules)
    graph = graph_of(lake, known, rank, first, _closed(lake, known, rank, was, over), pairs)
    ever, since = ints(links, "customer_id"), ints(links, "since")
    created = pd.Series(since, index=ever).groupby(level=0).min()
    none = np.zeros(0, dtype=np.int64)
    current = links.filter(links.column("open"))
    index = pd.Index(ever)
    return _region(
        graph, told, (none, none), was, current, created, lambda some: pd.Index(some).isin(index)
    )


def over_told(known: Ints, rank: Ints, pairs: Rows, rules: TypeRules) -> Flags:
    """Nodes that records show with more others than they may meet; see `over_limit`."""
    some = slice(None) if pairs.told.all() else pairs.told
    return over_limit(known, rank, pairs.a[some], pairs.b[some], rules, pairs.seen[some])


class Judged(Protocol):
    """What a graph takes from a lake besides its tables; see `Lake`."""

    @property
    def rules(self) -> TypeRules:
        """The types."""

    @property
    def decided(self) -> Decided:
        """What persons have decided."""

    @property
    def until(self) -> int:
        """End of the run date."""


def graph_of(
    lake: Judged, known: Ints, rank: Ints, first: Ints, closed: Ints, pairs: Rows
) -> Graph:
    """The graph of nodes and pairs whose places are known."""
    return Graph(
        known,
        rank,
        first,
        closed,
        pairs.a,
        pairs.b,
        pairs.seen,
        pairs.grade,
        pairs.weight,
        lake.rules.expired(pairs.last, rank[pairs.b], lake.until),
        lake.decided.within(known),
    )


def drawn_together(known: Ints, rows: pa.Table) -> tuple[Rows, pa.Table]:
    """Rows of evidence as one per pair: as arrays, and as a table with the texts.

    Args:
        known: ids of the nodes, ascending.
        rows: see `evidence_rows`.

    Returns:
        the pairs, and in the same order node_a, node_b, source, was, changed.
    """
    source, sources = numbered(rows.column("source"))
    was, reasons = numbered(rows.column("reason"))
    raw = Rows(
        places(known, ints(rows, "node_a")),
        places(known, ints(rows, "node_b")),
        ints(rows, "at"),
        ints(rows, "seen"),
        ints(rows, "last"),
        rows.column("grade").to_numpy(),
        rows.column("weight").to_numpy(),
        flags(rows, "told"),
        source,
        was,
        flags(rows, "changed"),
    )
    pairs = one_per_pair(raw, len(known))
    told = pa.table(
        {
            "node_a": known[pairs.a],
            "node_b": known[pairs.b],
            "source": pa.DictionaryArray.from_arrays(pairs.source, sources),
            "was": pa.DictionaryArray.from_arrays(pairs.was, reasons),
            "changed": pairs.changed,
        }
    )
    return pairs, told


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


def flags(frame: pa.Table, name: str) -> Flags:
    """A column of truth values without nulls."""
    found: Flags = frame.column(name).to_numpy().astype(np.bool_, copy=False)
    return found


def _over(lake: Lake, known: Ints, rank: Ints, pairs: pa.Table, a: Ints, b: Ints) -> Flags:
    """Nodes that records show with more others than they may meet."""
    told = pairs.column("told").to_numpy(zero_copy_only=False)
    return over_limit(known, rank, a[told], b[told], lake.rules, ints(pairs, "seen")[told])


def _closed(lake: Lake, known: Ints, rank: Ints, was: Ints, over: Flags) -> Ints:
    """Why each node joins nothing, where it does not: junk before block before limit."""
    closed: Ints = np.where(over, LIMIT, OPEN).astype(np.int64)
    if len(lake.decided.blocked):
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
    members = link_arrays(lake.open.join(customers, "customer_id", "left_semi")).toArrow()
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
    at = places(known, owner)
    here: Flags = np.zeros(len(owner), dtype=np.bool_)
    within = at < len(known)
    here[within] = known[at[within]] == owner[within]
    at = at[here]
    customer[at] = ints(links, "customer_id")[here]
    since[at] = ints(links, "since")[here]
    lost = links.filter(pa.array(~here))
    return Region(graph, pairs, outside, was, customer, since, lost, created, used)


def link_arrays(links: DataFrame) -> DataFrame:
    """Links as numbers: node_id, customer_id, since (microseconds), open BOOLEAN."""
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
    label = connected(len(every), np.searchsorted(every, x), np.searchsorted(every, y))[1]
    reached = np.isin(label, label[np.searchsorted(every, customers)])
    return ids(lake.spark, "customer_id", every[reached])
