"""What is grouped again, brought to the driver as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from lakecdp.identity.arrays import Rows, ascending, is_among, one_per_pair, places
from lakecdp.identity.files import Files
from lakecdp.identity.grouping import (
    BLOCK,
    JUNK,
    LIMIT,
    OPEN,
    Flags,
    Graph,
    Ints,
    TypeRules,
    over_limit,
)
from lakecdp.identity.numbers import evidence_rows, flags, ints, link_arrays, node_arrays, numbered

_NONE: Ints = np.zeros(0, dtype=np.int64)


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
        both = is_among(a, nodes) & is_among(b, nodes)
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
    graph = graph_of(lake, known, rank, first, closed_nodes(lake, known, rank, was, over), pairs)
    ever, since = ints(links, "customer_id"), ints(links, "since")
    created = pd.Series(since, index=ever).groupby(level=0).min()
    none = np.zeros(0, dtype=np.int64)
    current = links.filter(links.column("open"))
    index = pd.Index(ever)
    return region_of(
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


def closed_nodes(lake: Lake, known: Ints, rank: Ints, was: Ints, over: Flags) -> Ints:
    """Why each node joins nothing, where it does not: junk before block before limit."""
    closed: Ints = np.where(over, LIMIT, OPEN).astype(np.int64)
    if len(lake.decided.blocked):
        closed[is_among(known, lake.decided.blocked)] = BLOCK
    closed[(was == JUNK) | (rank == len(lake.names))] = JUNK
    return closed


def region_of(
    graph: Graph,
    pairs: pa.Table,
    outside: tuple[Ints, Ints],
    was: Ints,
    links: pa.Table,
    created: pd.Series,
    used: Callable[[Ints], Flags],
) -> Region:
    """A region with what the links say of its nodes."""
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
