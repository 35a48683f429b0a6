"""Which identifiers belong together: a function of all evidence, whatever order it came in.

1. A junk identifier joins nothing, nor does one that a person has blocked.
2. An identifier that meets more others than its limit joins nothing (super-node guard), and a pair
   not seen for longer than its type allows is no evidence any more.
3. Of what is left, connected components are customers, but two values of a unique type never share
   one, nor do two identifiers that a person has unlinked. Where they would, edges are taken in a
   fixed order, strongest types first, then the oldest evidence, then ids, and an edge that would
   bring two such identifiers together is left out (Kruskal's algorithm with a constraint: J. B.
   Kruskal, 1956). What is only likely comes after what was seen, the likeliest first.
4. A link that a person has decided outranks all of that but a block; it is taken first.

Nothing here knows of Spark: arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lakecdp.identity.arrays import ascending, connected, is_among

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
_NONE: Ints = np.zeros(0, dtype=np.int64)

UNDATED = np.iinfo(np.int64).max
OPEN, JUNK, LIMIT, VETO, EXPIRED, UNLINK, BLOCK = range(7)
MANUAL, SEEN, LIKELY = 0, 1, 2
DAY = 86_400_000_000
"""Microseconds."""


@dataclass(frozen=True)
class Window:
    """A limit on how many others of one type an identifier newly meets within some days.

    Attributes:
        kind: type that is limited (index into TypeRules).
        other: type that is counted.
        at_most: how many different ones are allowed.
        days: length of the window; 0 for all time.
    """

    kind: int
    other: int
    at_most: int
    days: int


@dataclass(frozen=True)
class TypeRules:
    """The identifier types as arrays; a type is its place in order of strength.

    Attributes:
        names: strongest first.
        unique: two values never share a customer.
        limit: values of one stronger type that it may meet; 0 for no limit.
        limit_all: values that it may meet in all; 0 for no limit.
        expires: days after which a pair not seen again is no evidence, by the type of its weaker
            end; 0 for never.
        windows: further limits.
    """

    names: tuple[str, ...]
    unique: Flags
    limit: Ints
    limit_all: Ints
    expires: Ints
    windows: tuple[Window, ...] = ()

    @classmethod
    def make(
        cls,
        names: Sequence[str],
        unique: Sequence[bool],
        limit: Sequence[int | None],
        limit_all: Sequence[int | None],
        expires: Sequence[int | None] | None = None,
        windows: Sequence[Window] = (),
    ) -> TypeRules:
        """From one value per type, strongest type first."""
        never = [None] * len(names) if expires is None else expires
        one, every, days = (
            np.array([x or 0 for x in v], dtype=np.int64) for v in (limit, limit_all, never)
        )
        alone = np.array(unique, dtype=np.bool_)
        return cls(tuple(names), alone, one, every, days, tuple(windows))

    @property
    def lowest(self) -> Ints:
        """Per type the lowest of its limits; the largest number where it has none."""
        out = np.minimum(
            np.where(self.limit > 0, self.limit, UNDATED),
            np.where(self.limit_all > 0, self.limit_all, UNDATED),
        )
        for window in self.windows:
            out[window.kind] = min(out[window.kind], window.at_most)
        lowest: Ints = out
        return lowest

    def expired(self, last: Ints, rank_b: Ints, until: int) -> Flags:
        """Pairs that have not been seen for too long.

        Args:
            last: last seen together, microseconds; UNDATED for pairs that never expire.
            rank_b: type of the weaker end.
            until: end of the run date, microseconds.
        """
        if not self.expires.any():
            return np.zeros(len(last), dtype=np.bool_)
        days = self.expires[rank_b]
        out: Flags = (days > 0) & (last < until - days * DAY)
        return out


@dataclass(frozen=True)
class Graph:
    """Identifiers and the pairs seen together.

    Attributes:
        nodes: ids in ascending order.
        rank: type of each node (index into TypeRules).
        first: first seen, microseconds; UNDATED where unknown.
        closed: JUNK, BLOCK or LIMIT for nodes that join nothing, else OPEN.
        a: place in `nodes` of the stronger identifier of each pair.
        b: place of the weaker one.
        seen: first seen together, microseconds; UNDATED where unknown.
        grade: MANUAL, SEEN or LIKELY for each pair; None when all are SEEN.
        weight: probability of each pair; counts for LIKELY ones alone.
        expired: pairs that are no evidence any more; None when there are none.
        apart: places of the ends of pairs of nodes that must never share a customer.
    """

    nodes: Ints
    rank: Ints
    first: Ints
    closed: Ints
    a: Ints
    b: Ints
    seen: Ints
    grade: Ints | None = None
    weight: Floats | None = None
    expired: Flags | None = None
    apart: tuple[Ints, Ints] = (_NONE, _NONE)


@dataclass(frozen=True)
class Grouping:
    """The outcome.

    Attributes:
        label: group of each node, from 0.
        verdict: OPEN, JUNK, BLOCK, LIMIT, EXPIRED, VETO or UNLINK for each pair.
        because: type (index into TypeRules) that the verdict is about; -1 for OPEN and UNLINK.
        order: place of each pair in the fixed order.
    """

    label: Ints
    verdict: Ints
    because: Ints
    order: Ints


def over_limit(
    nodes: Ints, rank: Ints, a: Ints, b: Ints, rules: TypeRules, seen: Ints | None = None
) -> Flags:
    """Which nodes meet more others than they may.

    Args:
        nodes: ids (only their number counts).
        rank: type of each node.
        a: place in `nodes` of one end of every pair, each pair once; all pairs of the nodes asked
            for must be there.
        b: place of the other end.
        rules: the types.
        seen: first seen together, microseconds; UNDATED where unknown. Needed for limits within
            days, for which pairs without a date do not count.
    """
    size = len(nodes)
    met_in_all = np.bincount(a, minlength=size) + np.bincount(b, minlength=size)
    # Hardly any node meets as many others as its lowest limit: only those are looked at further.
    crowded = met_in_all > rules.lowest[rank]
    out: Flags = np.zeros(size, dtype=np.bool_)
    some = np.flatnonzero(crowded)
    if len(some):
        ends, others, at = _meetings(crowded, a, b, seen)
        place = np.searchsorted(some, ends)
        out[some] = _over(rank[some], place, rank[others], at, rules)
    return out


def _meetings(
    crowded: Flags, a: Ints, b: Ints, seen: Ints | None
) -> tuple[Ints, Ints, Ints | None]:
    """Pairs as some nodes see them: the node, the other, and when."""
    left, right = crowded[a], crowded[b]
    ends = np.concatenate([a[left], b[right]])
    others = np.concatenate([b[left], a[right]])
    return ends, others, None if seen is None else np.concatenate([seen[left], seen[right]])


def _over(rank: Ints, ends: Ints, others: Ints, at: Ints | None, rules: TypeRules) -> Flags:
    """Which nodes meet more others than they may, by the types of those that they meet."""
    kinds = len(rules.names)
    met = np.bincount(ends * kinds + others, minlength=len(rank) * kinds)
    met = met.reshape(len(rank), kinds)
    stronger = np.arange(kinds)[None, :] < rank[:, None]
    most = np.where(stronger, met, 0).max(axis=1, initial=0)
    limit, limit_all = rules.limit[rank], rules.limit_all[rank]
    out: Flags = ((limit > 0) & (most > limit)) | ((limit_all > 0) & (met.sum(axis=1) > limit_all))
    for window in rules.windows:
        mine = rank == window.kind
        if window.days and at is not None:
            counted = mine[ends] & (others == window.other) & (at != UNDATED)
            most = _most_within(ends[counted], at[counted], window.days * DAY, len(rank))
        else:
            most = met[:, window.other]
        out |= mine & (most > window.at_most)
    return out


def _most_within(ends: Ints, at: Ints, length: int, size: int) -> Ints:
    """Per node, the most of its moments that lie within one window of a length."""
    most = np.zeros(size, dtype=np.int64)
    if not len(ends):
        return most
    order = np.lexsort((at, ends))
    node, moment = ends[order], at[order]
    starts = np.r_[True, node[1:] != node[:-1]]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(node)), 0))
    # Nodes lie one after the other on one axis, too far apart for a window to reach the next.
    step = moment.max() - moment.min() + length + 1
    index = np.cumsum(starts) - 1
    if index[-1] < np.iinfo(np.int64).max // step - 1:
        axis = index * step + (moment - moment.min())
        back = np.searchsorted(axis, axis - length, side="right")
    else:
        back = np.array(
            [
                f + np.searchsorted(moment[f : i + 1], moment[i] - length, side="right")
                for i, f in enumerate(first.tolist())
            ]
        )
    np.maximum.at(most, node, np.arange(len(node)) - np.maximum(back, first) + 1)
    return most


def group(graph: Graph, rules: TypeRules) -> Grouping:
    """Group the nodes; see the module for the rules."""
    g = graph
    verdict, because = _closed(g)
    order = _order(g)
    allowed = np.flatnonzero(verdict == OPEN)
    size = len(g.nodes)
    count, label = connected(size, g.a[allowed], g.b[allowed])
    bits = np.where(rules.unique, np.int64(1) << np.minimum(np.arange(len(rules.names)), 62), 0)
    torn = np.zeros(count, dtype=np.bool_)
    for kind in np.flatnonzero(rules.unique):
        torn |= np.bincount(label[g.rank == kind], minlength=count) > 1
    one, two = label[g.apart[0]], label[g.apart[1]]
    torn[one[one == two]] = True
    if torn.any():
        inside = allowed[torn[label[g.a[allowed]]]]
        inside = inside[np.argsort(order[inside])]
        label = _apart(g, label, torn, inside, bits)
        masks = np.zeros(label.max() + 1, dtype=np.int64)
        np.bitwise_or.at(masks, label, bits[g.rank])
        left = inside[label[g.a[inside]] != label[g.b[inside]]]
        both = masks[label[g.a[left]]] & masks[label[g.b[left]]]
        unlinked = _between(label, g.apart, label[g.a[left]], label[g.b[left]])
        verdict[left] = np.where(unlinked, UNLINK, VETO)
        kind = np.log2(np.maximum(both & -both, 1).astype(np.float64)).astype(np.int64)
        because[left] = np.where(unlinked, -1, kind)
    return Grouping(label, verdict, because, order)


def _between(label: Ints, apart: tuple[Ints, Ints], x: Ints, y: Ints) -> Flags:
    """Whether groups x and y hold two identifiers that must stay apart."""
    size = int(label.max(initial=0)) + 1
    one, two = label[apart[0]], label[apart[1]]
    kept = np.minimum(one, two) * size + np.maximum(one, two)
    out: Flags = is_among(np.minimum(x, y) * size + np.maximum(x, y), kept)
    return out


def judge(
    closed_a: Ints,
    closed_b: Ints,
    rank_a: Ints,
    rank_b: Ints,
    grade: Ints | None = None,
    expired: Flags | None = None,
) -> tuple[Ints, Ints]:
    """Verdict on pairs by their ends: junk, block, limit, expired, the weaker end first.

    Junk and limits are rules, which a MANUAL pair outranks.
    """
    verdict = np.zeros(len(rank_a), dtype=np.int64)
    because = np.full(len(rank_a), -1, dtype=np.int64)
    if expired is not None:
        verdict[expired], because[expired] = EXPIRED, rank_b[expired]
    ruled = True if grade is None else grade != MANUAL
    for why in (LIMIT, BLOCK, JUNK):
        for closed, rank in ((closed_a, rank_a), (closed_b, rank_b)):
            hit = (closed == why) & (ruled if why != BLOCK else True)
            verdict[hit] = why
            because[hit] = rank[hit]
    return verdict, because


def _closed(g: Graph) -> tuple[Ints, Ints]:
    verdict = np.zeros(len(g.a), dtype=np.int64)
    because = np.full(len(g.a), -1, dtype=np.int64)
    shut = g.closed != OPEN
    some = shut[g.a] | shut[g.b]
    if g.expired is not None:
        some |= g.expired
    at = np.flatnonzero(some)
    a, b = g.a[at], g.b[at]
    ends = (g.closed[a], g.closed[b], g.rank[a], g.rank[b])
    grade = None if g.grade is None else g.grade[at]
    expired = None if g.expired is None else g.expired[at]
    verdict[at], because[at] = judge(*ends, grade, expired)
    return verdict, because


def _order(g: Graph) -> Ints:
    place = np.empty(len(g.a), dtype=np.int64)
    grade = np.full(len(g.a), SEEN, dtype=np.int8) if g.grade is None else g.grade
    low, high = np.minimum(g.a, g.b), np.maximum(g.a, g.b)
    strength = _strength(g)
    start = 0
    # Nearly all pairs are SEEN; sorted grade by grade, they need no further key.
    for one in (MANUAL, SEEN, LIKELY):
        some = np.flatnonzero(grade == one)
        if not len(some):
            continue
        whole = len(some) == len(place)
        keys = [k if whole else k[some] for k in (*strength, low, high)]
        if one == LIKELY and g.weight is not None:
            keys.insert(0, -g.weight[some])
        place[some[ascending(keys)]] = np.arange(start, start + len(some))
        start += len(some)
    return place


def _strength(g: Graph) -> tuple[Ints, ...]:
    """Types and time as sort keys; as one number where that has room for them."""
    kinds = int(g.rank.max(initial=0)) + 1
    types = g.rank[g.b] * kinds + g.rank[g.a]
    unknown = g.seen == UNDATED
    first = int(g.seen.min(initial=UNDATED))
    span = int(g.seen.max(initial=first, where=~unknown)) - first + 2
    if span * kinds * kinds >= UNDATED:
        return types, g.seen
    return (types * span + np.where(unknown, span - 1, g.seen - first),)


def _root(parent: list[int], x: int) -> int:
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


def _apart(g: Graph, label: Ints, torn: Flags, pairs: Ints, bits: Ints) -> Ints:
    """Labels after joining only what unique types and decisions allow, within the torn groups."""
    members = np.flatnonzero(torn[label])
    local = np.full(len(g.nodes), -1, dtype=np.int64)
    local[members] = np.arange(len(members))
    parent: list[int] = list(range(len(members)))
    mask: list[int] = bits[g.rank[members]].tolist()
    foes: dict[int, set[int]] = {}
    for one, two in zip(local[g.apart[0]].tolist(), local[g.apart[1]].tolist(), strict=True):
        if one >= 0 <= two:
            foes.setdefault(one, set()).add(two)
            foes.setdefault(two, set()).add(one)
    by_hand = np.zeros(len(pairs), dtype=np.bool_) if g.grade is None else g.grade[pairs] == MANUAL
    ends = zip(
        local[g.a[pairs]].tolist(), local[g.b[pairs]].tolist(), by_hand.tolist(), strict=True
    )
    for one, two, decided in ends:
        x, y = sorted((_root(parent, one), _root(parent, two)))
        hostile = x in foes and y in foes and any(_root(parent, f) == y for f in foes[x])
        if x == y or (not decided and (mask[x] & mask[y] or hostile)):
            continue
        parent[y] = x
        mask[x] |= mask[y]
        if y in foes:
            foes.setdefault(x, set()).update(foes.pop(y))
    # The smaller place is always the root, so that parents come before children.
    for i, p in enumerate(parent):
        parent[i] = parent[p]
    out = label.copy()
    out[members] = np.array(parent, dtype=np.int64) + label.max() + 1
    dense: Ints = np.unique(out, return_inverse=True)[1].astype(np.int64)
    return dense
