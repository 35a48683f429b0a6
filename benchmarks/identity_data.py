"""A graph of identifiers of any size, the same for the same seed: stars, trees, chains and hubs.

One record shows a strong identifier, the owner, together with weaker ones, so most components are small
stars and trees. Among them are long chains (devices handed on, cookies renewed) and a few hubs: one
identifier that stands with a hundred thousand others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TYPES = ["member_id", "phone", "email", "device_id", "cookie"]
# Every guard is at work, and none is reached: the components are those of the plain graph, which is
# all that the other contestants know.
RULES = """
types:
  member_id: {priority: 1, unique: true}
  phone: {priority: 2, limit: 5000}
  email: {priority: 3, limit: 5000}
  device_id: {priority: 4, limit: 5000, limit_all: 50000}
  cookie: {priority: 5}
"""
SOURCES = ["web", "app", "crm"]
CHAIN, HUB = 2_000, 120_000
DAY = 86_400_000_000
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Data:
    """Nodes and edges as arrays.

    Attributes:
        node: ids.
        kind: place of each node's type in TYPES.
        a: node id of the stronger end of each edge.
        b: node id of the weaker end.
        kind_a: place of its type.
        kind_b: the same.
        source: place in SOURCES; the first edge of a pair has 0 or 1, a second one 2.
        seen: microseconds.
    """

    node: Ints
    kind: NDArray[np.int8]
    a: Ints
    b: Ints
    kind_a: NDArray[np.int8]
    kind_b: NDArray[np.int8]
    source: NDArray[np.int8]
    seen: Ints


def scattered(x: NDArray[np.int64]) -> Ints:
    """Different whole numbers made into ids that look random, as keyed hashes do (splitmix64)."""
    z = x.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    # Without the sign bit: node ids have 63 bits. Two of 50 million meet with odds of one in 7,000.
    return (z >> np.uint64(1)).astype(np.int64)


def made(nodes: int, edges: int, seed: int = 7, offset: int = 0) -> Data:
    """A graph with about so many nodes and edges.

    Args:
        nodes: identifiers in all.
        edges: pairs in all; a hundredth of them close a cycle.
        seed: of the random numbers.
        offset: added to the numbers of nodes, for a second graph beside a first.
    """
    dice = np.random.default_rng(seed)
    extra = edges // 100
    components = nodes - (edges - extra)
    hubs, chains = max(1, nodes // 3_000_000), max(1, nodes // 60_000)
    hub, chain = min(HUB, nodes // 20), min(CHAIN, max(2, nodes // 100))
    special = hubs + chains
    sizes = np.ones(components, dtype=np.int64)
    sizes[:hubs] = hub
    sizes[hubs:special] = chain
    rest = nodes - sizes.sum()
    # Each other component has two nodes at least; the rest is dealt out with a long tail.
    sizes[special:] += 1
    rest -= components - special
    weight = dice.lognormal(0, 1.0, components - special)
    dealt = np.floor(weight / weight.sum() * rest).astype(np.int64)
    dealt[: rest - dealt.sum()] += 1
    sizes[special:] += dealt
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    of = np.repeat(np.arange(components), sizes)
    inside = np.arange(nodes) - start[of]
    star = dice.random(nodes) < 0.8
    parent = np.where(star, 0, np.floor(dice.random(nodes) * inside).astype(np.int64))
    parent = np.where(of < hubs, 0, parent)
    in_chain = (of >= hubs) & (of < special)
    parent = np.where(in_chain, np.maximum(inside - 1, 0), parent)
    kind = dice.integers(1, 5, nodes).astype(np.int8)
    kind[inside == 0] = 0
    kind[in_chain] = (3 + inside[in_chain] % 2).astype(np.int8)
    kind[(of < hubs) & (inside > 0)] = 3
    child = np.flatnonzero(inside > 0)
    x, y = child, start[of[child]] + parent[child]
    large = np.flatnonzero(sizes[special:] > 2) + special
    where = large[dice.integers(0, len(large), extra * 2)]
    p = start[where] + np.floor(dice.random(len(where)) * sizes[where]).astype(np.int64)
    q = start[where] + np.floor(dice.random(len(where)) * sizes[where]).astype(np.int64)
    differ = p != q
    p, q = p[differ][:extra], q[differ][:extra]
    x, y = np.concatenate([x, p]), np.concatenate([y, q])
    swap = (kind[x] > kind[y]) | ((kind[x] == kind[y]) & (x > y))
    x, y = np.where(swap, y, x), np.where(swap, x, y)
    source = np.concatenate([dice.integers(0, 2, len(child)), np.full(len(p), 2)]).astype(np.int8)
    keep = np.ones(len(x), dtype=np.bool_)
    late = np.arange(len(child), len(x))
    first = np.unique(x[late] * nodes + y[late], return_index=True)[1]
    keep[late] = False
    keep[late[first]] = True
    x, y, source = x[keep], y[keep], source[keep]
    seen = 1_700_000_000_000_000 + dice.integers(0, 700 * DAY, len(x))
    mixed = dice.permutation(len(x))
    x, y, source, seen = x[mixed], y[mixed], source[mixed], seen[mixed]
    ids = scattered(np.arange(nodes) + offset + 1)
    return Data(ids, kind, ids[x], ids[y], kind[x], kind[y], source, seen)
