"""What becomes of scored pairs: link, review, or neither.

Pairs are taken by weight, the best first, ties by ids, and join groups of records. A pair joins two
groups when it is a link by its probability and when the groups go together: they must not hold two
records of a source that is known to hold nobody twice (one-to-one), and the pairs between them must
speak for it on average, where a pair that was not even worth a review speaks against. So one
mistaken pair does not chain two persons together.

The outcome of a connected part of the graph of pairs depends on that part alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

LINK, REVIEW, IMPLIED, BEATEN = "link", "review", "implied", "beaten"
AGAINST = -3.0
"""Weight, in bits, of a pair that was looked at in vain or not at all."""


@dataclass(frozen=True)
class Pairs:
    """Scored pairs of which one may be a link.

    Attributes:
        a: id of one record.
        b: id of the other; a < b.
        probability: that both are one person.
        weight: its logarithm of odds (base 2).
        source_a: source of a, as a number.
        source_b: source of b.
    """

    a: np.ndarray
    b: np.ndarray
    probability: np.ndarray
    weight: np.ndarray
    source_a: np.ndarray
    source_b: np.ndarray


def decide(
    pairs: Pairs, *, link: float, free: Collection[int] = (), fixed: np.ndarray | None = None
) -> np.ndarray:
    """The decision on each pair.

    Args:
        pairs: the pairs, each at least worth a review.
        link: probability from which a pair is a link.
        free: sources that hold nobody twice.
        fixed: pairs on which a person has decided; they are left out.

    Returns:
        link; review; implied (below the threshold, but other links join its records already); or
        beaten (a better pair has taken one of its records).
    """
    ids, flat = np.unique(np.concatenate([pairs.a, pairs.b]), return_inverse=True)
    n = len(pairs.a)
    a, b = flat[:n], flat[n:]
    source = np.full(len(ids), -1)
    source[a], source[b] = pairs.source_a, pairs.source_b
    out = np.full(n, REVIEW, dtype=object)
    order = np.lexsort((pairs.b, pairs.a, -pairs.weight))
    groups = _Groups(len(ids), source, free, a, b, pairs.weight)
    live = np.ones(n, dtype=bool) if fixed is None else ~fixed
    for i in order:
        if not live[i] or pairs.probability[i] < link:
            continue
        out[i] = groups.join(int(a[i]), int(b[i]))
    root = np.array([groups.root(i) for i in range(len(ids))])
    same = root[a] == root[b] if n else np.zeros(0, dtype=bool)
    sure = pairs.probability >= link
    out[same & ~sure] = IMPLIED
    out[same & sure] = LINK
    for i in np.flatnonzero(~same):
        if groups.clash(int(root[a[i]]), int(root[b[i]])):
            out[i] = BEATEN
    return out


class _Groups:
    """Union-find that knows the members, the sources and the weights between two groups."""

    def __init__(
        self,
        n: int,
        source: np.ndarray,
        free: Collection[int],
        a: np.ndarray,
        b: np.ndarray,
        weight: np.ndarray,
    ):
        self.parent = list(range(n))
        self.size = [1] * n
        self.sources: list[frozenset[int]] = [
            frozenset([int(s)]) if s in free else frozenset() for s in source
        ]
        self.between: list[dict[int, float]] = [{} for _ in range(n)]
        self.known: list[dict[int, int]] = [{} for _ in range(n)]
        for x, y, w in zip(a.tolist(), b.tolist(), weight.tolist(), strict=True):
            for i, j in ((x, y), (y, x)):
                self.between[i][j] = self.between[i].get(j, 0.0) + w
                self.known[i][j] = self.known[i].get(j, 0) + 1

    def root(self, x: int) -> int:
        """The representative of a record's group."""
        while self.parent[x] != x:
            self.parent[x] = self.parent[self.parent[x]]
            x = self.parent[x]
        return x

    def clash(self, x: int, y: int) -> bool:
        """Whether two groups hold records of one source that holds nobody twice."""
        return bool(self.sources[x] & self.sources[y])

    def join(self, a: int, b: int) -> str:
        """Join the groups of two records if they go together."""
        x, y = self.root(a), self.root(b)
        if x == y:
            return LINK
        if self.clash(x, y):
            return BEATEN
        every = self.size[x] * self.size[y]
        mean = self.between[x][y] + AGAINST * (every - self.known[x][y])
        if mean < 0:
            return REVIEW
        if len(self.between[x]) < len(self.between[y]):
            x, y = y, x
        self.parent[y] = x
        self.size[x] += self.size[y]
        self.sources[x] |= self.sources[y]
        del self.between[x][y], self.known[x][y]
        for z, w in self.between[y].items():
            if z == x:
                continue
            k = self.known[y][z]
            for one, other in ((x, z), (z, x)):
                self.between[one][other] = self.between[one].get(other, 0.0) + w
                self.known[one][other] = self.known[one].get(other, 0) + k
            del self.between[z][y], self.known[z][y]
        self.between[y], self.known[y] = {}, {}
        return LINK
