"""Which identifiers belong together: a function of all evidence, whatever order it came in.

1. A junk identifier joins nothing.
2. An identifier that meets more others than its limit joins nothing (super-node guard).
3. Of what is left, connected components are customers, but two values of a unique type never share
   one. Where they would, edges are taken in a fixed order, strongest types first, then the oldest
   evidence, then ids, and an edge that would bring two such values together is left out (Kruskal's
   algorithm with a constraint: J. B. Kruskal, 1956).

Nothing here knows of Spark: arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

UNDATED = np.iinfo(np.int64).max
OPEN, JUNK, LIMIT, VETO = 0, 1, 2, 3


@dataclass(frozen=True)
class TypeRules:
    """The identifier types as arrays; a type is its place in order of strength.

    Attributes:
        names: strongest first.
        unique: two values never share a customer.
        limit: values of one stronger type that it may meet; 0 for no limit.
        limit_all: values that it may meet in all; 0 for no limit.
    """

    names: tuple[str, ...]
    unique: Flags
    limit: Ints
    limit_all: Ints

    @classmethod
    def make(
        cls,
        names: Sequence[str],
        unique: Sequence[bool],
        limit: Sequence[int | None],
        limit_all: Sequence[int | None],
    ) -> TypeRules:
        """From one value per type, strongest type first."""
        whole = [np.array([x or 0 for x in v], dtype=np.int64) for v in (limit, limit_all)]
        return cls(tuple(names), np.array(unique, dtype=np.bool_), whole[0], whole[1])


@dataclass(frozen=True)
class Graph:
    """Identifiers and the pairs seen together.

    Attributes:
        nodes: ids in ascending order.
        rank: type of each node (index into TypeRules).
        first: first seen, microseconds; UNDATED where unknown.
        closed: JUNK or LIMIT for nodes that join nothing, else OPEN.
        a: place in `nodes` of the stronger identifier of each pair.
        b: place of the weaker one.
        seen: first seen together, microseconds; UNDATED where unknown.
    """

    nodes: Ints
    rank: Ints
    first: Ints
    closed: Ints
    a: Ints
    b: Ints
    seen: Ints


@dataclass(frozen=True)
class Grouping:
    """The outcome.

    Attributes:
        label: group of each node, from 0.
        verdict: OPEN, JUNK, LIMIT or VETO for each pair.
        because: type (index into TypeRules) that the verdict is about; -1 when OPEN.
        order: place of each pair in the fixed order.
    """

    label: Ints
    verdict: Ints
    because: Ints
    order: Ints


def over_limit(nodes: Ints, rank: Ints, a: Ints, b: Ints, rules: TypeRules) -> Flags:
    """Which nodes meet more others than they may.

    Args:
        nodes: ids (only their number counts).
        rank: type of each node.
        a: place in `nodes` of one end of every pair, each pair once; all pairs of the nodes asked
            for must be there.
        b: place of the other end.
        rules: the types.
    """
    kinds = len(rules.names)
    ends = np.concatenate([a, b])
    others = rank[np.concatenate([b, a])]
    met = np.bincount(ends * kinds + others, minlength=len(nodes) * kinds)
    met = met.reshape(len(nodes), kinds)
    stronger = np.arange(kinds)[None, :] < rank[:, None]
    most = np.where(stronger, met, 0).max(axis=1, initial=0)
    limit, limit_all = rules.limit[rank], rules.limit_all[rank]
    out: Flags = ((limit > 0) & (most > limit)) | ((limit_all > 0) & (met.sum(axis=1) > limit_all))
    return out


def group(graph: Graph, rules: TypeRules) -> Grouping:
    """Group the nodes; see the module for the rules."""
    g = graph
    verdict, because = _closed(g)
    order = _order(g)
    allowed = np.flatnonzero(verdict == OPEN)
    size = len(g.nodes)
    ones = np.ones(len(allowed), dtype=np.int8)
    links = coo_array((ones, (g.a[allowed], g.b[allowed])), shape=(size, size))
    count, found = connected_components(links, directed=False)
    label = found.astype(np.int64)
    bits = np.where(rules.unique, np.int64(1) << np.minimum(np.arange(len(rules.names)), 62), 0)
    torn = np.zeros(count, dtype=np.bool_)
    for kind in np.flatnonzero(rules.unique):
        torn |= np.bincount(label[g.rank == kind], minlength=count) > 1
    if torn.any():
        inside = allowed[torn[label[g.a[allowed]]]]
        inside = inside[np.argsort(order[inside])]
        label = _apart(g, label, torn, inside, bits)
        masks = np.zeros(label.max() + 1, dtype=np.int64)
        np.bitwise_or.at(masks, label, bits[g.rank])
        left = inside[label[g.a[inside]] != label[g.b[inside]]]
        verdict[left] = VETO
        both = masks[label[g.a[left]]] & masks[label[g.b[left]]]
        because[left] = np.log2((both & -both).astype(np.float64)).astype(np.int64)
    return Grouping(label, verdict, because, order)


def judge(closed_a: Ints, closed_b: Ints, rank_a: Ints, rank_b: Ints) -> tuple[Ints, Ints]:
    """Verdict on pairs by their ends: junk before limit, the weaker end before the stronger."""
    verdict = np.zeros(len(rank_a), dtype=np.int64)
    because = np.full(len(rank_a), -1, dtype=np.int64)
    for why in (LIMIT, JUNK):
        for closed, rank in ((closed_a, rank_a), (closed_b, rank_b)):
            hit = closed == why
            verdict[hit] = why
            because[hit] = rank[hit]
    return verdict, because


def _closed(g: Graph) -> tuple[Ints, Ints]:
    return judge(g.closed[g.a], g.closed[g.b], g.rank[g.a], g.rank[g.b])


def _order(g: Graph) -> Ints:
    low, high = np.minimum(g.a, g.b), np.maximum(g.a, g.b)
    by = np.lexsort((high, low, g.seen, g.rank[g.a], g.rank[g.b]))
    place = np.empty(len(by), dtype=np.int64)
    place[by] = np.arange(len(by))
    return place


def _root(parent: list[int], x: int) -> int:
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


def _apart(g: Graph, label: Ints, torn: Flags, pairs: Ints, bits: Ints) -> Ints:
    """Labels after joining only what the unique types allow, within the torn groups."""
    members = np.flatnonzero(torn[label])
    local = np.full(len(g.nodes), -1, dtype=np.int64)
    local[members] = np.arange(len(members))
    parent: list[int] = list(range(len(members)))
    mask: list[int] = bits[g.rank[members]].tolist()
    ends = zip(local[g.a[pairs]].tolist(), local[g.b[pairs]].tolist(), strict=True)
    for one, two in ends:
        x, y = sorted((_root(parent, one), _root(parent, two)))
        if x == y or mask[x] & mask[y]:
            continue
        parent[y] = x
        mask[x] |= mask[y]
    # The smaller place is always the root, so that parents come before children.
    for i, p in enumerate(parent):
        parent[i] = parent[p]
    out = label.copy()
    out[members] = np.array(parent, dtype=np.int64) + label.max() + 1
    dense: Ints = np.unique(out, return_inverse=True)[1].astype(np.int64)
    return dense
