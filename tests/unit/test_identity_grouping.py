"""Grouping, customer ids and the ledger, on random graphs and without Spark."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from lakecdp.identity.customers import NONE, After, Before, assign
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
    Graph,
    Grouping,
    TypeRules,
    Window,
    group,
    over_limit,
)

RULES = TypeRules.make(
    ["member", "union", "phone", "device"],
    [True, True, False, False],
    [None, None, 3, 2],
    [None, None, None, 6],
    windows=[Window(0, 3, at_most=3, days=3)],
)
Pair = tuple[int, int]


class World:
    """Evidence and decisions as plain Python, by id.

    Attributes:
        rank: type.
        junk: identifiers that are junk.
        seen: pairs with the time first seen.
        grade: pairs that are not SEEN.
        weight: probability of LIKELY pairs.
        expired: pairs that have expired.
        blocked: identifiers that a person has blocked.
        apart: pairs that a person has unlinked.
    """

    def __init__(self, seed: int, size: int = 60, pairs: int = 75):
        dice = random.Random(seed)
        ids = dice.sample(range(1, 1 << 62), size)
        self.rank = {n: min(3, int(dice.random() * 4.5)) for n in ids}
        self.junk = {n for n in ids if dice.random() < 0.03}
        self.seen: dict[Pair, int] = {}
        for _ in range(pairs):
            x, y = dice.sample(ids, 2)
            if self.rank[x] != self.rank[y]:
                a, b = sorted((x, y), key=lambda n: self.rank[n])
                self.seen[a, b] = dice.choice([UNDATED, dice.randrange(9) * DAY])
        self.grade: dict[Pair, int] = {}
        self.weight: dict[Pair, float] = {}
        self.expired: set[Pair] = set()
        self.blocked: set[int] = set()
        self.apart: set[Pair] = set()
        if seed % 2:
            self.decide(dice, ids)

    def decide(self, dice: random.Random, ids: list[int]) -> None:
        """Likely and expired pairs, and decisions that do not contradict each other."""
        for pair in self.seen:
            if dice.random() < 0.1:
                self.grade[pair], self.weight[pair] = LIKELY, dice.randrange(80, 100) / 100
            elif dice.random() < 0.1:
                self.expired.add(pair)
        links = nx.Graph()
        for pair in dice.sample(sorted(self.seen), min(6, len(self.seen))):
            self.grade[pair] = MANUAL
            self.expired.discard(pair)
            links.add_edge(*pair)
        self.blocked = set(dice.sample(ids, min(2, len(ids)))) - set(links)
        for x, y in zip(
            dice.sample(ids, len(ids) // 2), dice.sample(ids, len(ids) // 2), strict=True
        ):
            joined = x in links and y in links and nx.has_path(links, x, y)
            if x != y and not joined:
                self.apart.add((x, y))

    def graph(self, pairs: Iterable[Pair] | None = None, extra: Iterable[int] = ()) -> Graph:
        wanted = list(self.seen if pairs is None else pairs)
        ids = {n for p in wanted for n in p} | set(extra)
        if pairs is None:
            ids |= set(self.rank)
        nodes = np.array(sorted(ids), dtype=np.int64)
        at = {n: i for i, n in enumerate(nodes.tolist())}
        rank = np.array([self.rank[n] for n in nodes.tolist()], dtype=np.int64)
        a = np.array([at[p[0]] for p in wanted], dtype=np.int64)
        b = np.array([at[p[1]] for p in wanted], dtype=np.int64)
        seen = np.array([self.seen[p] for p in wanted], dtype=np.int64)
        first = np.full(len(nodes), UNDATED)
        np.minimum.at(first, a, seen)
        np.minimum.at(first, b, seen)
        grade = np.array([self.grade.get(p, SEEN) for p in wanted], dtype=np.int64)
        told = grade == SEEN
        over = over_limit(nodes, rank, a[told], b[told], RULES, seen[told])
        closed = np.where(over, LIMIT, OPEN)
        closed = np.where(np.isin(nodes, list(self.blocked)), BLOCK, closed)
        closed = np.where(np.isin(nodes, list(self.junk)), JUNK, closed)
        apart = [(at[x], at[y]) for x, y in self.apart if x in at and y in at]
        return Graph(
            nodes, rank, first, closed, a, b, seen, grade,
            np.array([self.weight.get(p, 1.0) for p in wanted]),
            np.array([p in self.expired for p in wanted], dtype=bool),
            (
                np.array([x for x, _ in apart], dtype=np.int64),
                np.array([y for _, y in apart], dtype=np.int64),
            ),
        )  # fmt: skip


def partition(graph: Graph, label: Iterable[int]) -> set[frozenset[int]]:
    """Groups as sets of ids."""
    groups: dict[int, set[int]] = {}
    for node, group_ in zip(graph.nodes.tolist(), label, strict=True):
        groups.setdefault(group_, set()).add(node)
    return {frozenset(g) for g in groups.values()}


def by_networkx(world: World) -> tuple[set[frozenset[int]], set[Pair]]:
    """The same rules, written as slowly and as plainly as they are said."""
    near: dict[int, dict[int, int]] = {n: {} for n in world.rank}
    for (a, b), at in world.seen.items():
        if (a, b) not in world.grade:
            near[a][b] = near[b][a] = at

    def over(n: int) -> bool:
        kinds = Counter(world.rank[m] for m in near[n] if world.rank[m] < world.rank[n])
        limit = {2: 3, 3: 2}.get(world.rank[n])
        too_many = limit is not None and any(c > limit for c in kinds.values())
        met = [t // DAY for m, t in near[n].items() if world.rank[m] == 3 and t != UNDATED]
        quick = any(sum(day - 3 < other <= day for other in met) > 3 for day in met)
        quick = quick and world.rank[n] == 0
        return too_many or quick or (world.rank[n] == 3 and len(near[n]) > 6)

    shut = {n for n in world.rank if over(n)} | world.junk | world.blocked
    graph = nx.Graph()
    graph.add_nodes_from(world.rank)
    blocked = set()

    def order(pair: Pair) -> tuple[float, ...]:
        a, b = pair
        grade = world.grade.get(pair, SEEN)
        unlikely = -world.weight[pair] if grade == LIKELY else 0
        return (
            grade, unlikely, world.rank[b], world.rank[a], world.seen[pair], min(pair), max(pair)
        )  # fmt: skip

    for a, b in sorted(world.seen, key=order):
        if world.grade.get((a, b)) == MANUAL:
            graph.add_edge(a, b)
            continue
        if a in shut or b in shut or (a, b) in world.expired:
            blocked.add((a, b))
            continue
        one, two = (nx.node_connected_component(graph, n) for n in (a, b))
        kinds = [{world.rank[n] for n in part} & {0, 1} for part in (one, two)]
        unlinked = any((x in one and y in two) or (x in two and y in one) for x, y in world.apart)
        if b not in one and (kinds[0] & kinds[1] or unlinked):
            blocked.add((a, b))
        else:
            graph.add_edge(a, b)
    return {frozenset(c) for c in nx.connected_components(graph)}, blocked


class Book:
    """Links, ages and the ledger over several batches, as the job keeps them."""

    def __init__(self) -> None:
        self.links: dict[int, int] = {}
        self.created: dict[int, int] = {}
        self.sizes: Counter[int] = Counter()
        self.turn = 0

    def used(self, ids: np.ndarray) -> np.ndarray:
        return np.isin(ids, list(self.created))

    def take(self, graph: Graph, grouping: Grouping, gone: Iterable[int] = ()) -> After:
        self.turn += 1
        prev = np.array([self.links.get(n, NONE) for n in graph.nodes.tolist()], dtype=np.int64)
        lost = np.array([self.links.pop(n) for n in gone], dtype=np.int64)
        none = np.array([], dtype=np.int64)
        before = Before(
            prev, pd.Series(self.created, dtype=np.int64), self.used, lost, (none, none)
        )
        after = assign(graph, grouping, before)
        self.links |= dict(zip(graph.nodes.tolist(), after.customer.tolist(), strict=True))
        for customer in after.customer.tolist():
            self.created.setdefault(customer, self.turn)
        self.replay(after.ledger)
        return after

    def replay(self, ledger: pd.DataFrame) -> None:
        """Sizes of customers by the ledger alone."""
        for row in ledger.itertuples():
            if row.kind == "withdraw":
                self.sizes[row.customer_id] -= row.nodes
                continue
            self.sizes[row.customer_id] += row.nodes
            if row.from_customer_id != NONE:
                self.sizes[row.from_customer_id] -= row.nodes
        self.sizes = +self.sizes


def touched(world: World, arrived: list[Pair], book: Book, seeds: set[int]) -> Graph:
    """The part of the graph that a batch can change: all that candidate pairs reach from seeds."""
    whole = world.graph(arrived, extra=set(book.links) | seeds)
    closed = dict(zip(whole.nodes.tolist(), whole.closed.tolist(), strict=True))
    reach = nx.Graph(
        p for p in arrived if closed[p[0]] == OPEN == closed[p[1]] or world.grade.get(p) == MANUAL
    )
    reach.add_nodes_from(whole.nodes.tolist())
    of: dict[int, set[int]] = {}
    for node, customer in book.links.items():
        of.setdefault(customer, set()).add(node)
    for members in of.values():
        nx.add_path(reach, members)
    inside = set().union(*(nx.node_connected_component(reach, s) for s in seeds))
    keep = [n in inside for n in whole.nodes.tolist()]
    place = np.cumsum(keep) - 1
    both = np.array(
        [keep[a] and keep[b] for a, b in zip(whole.a, whole.b, strict=True)], dtype=bool
    )
    k = np.array(keep)
    assert whole.grade is not None
    assert whole.weight is not None
    assert whole.expired is not None
    kept = k[whole.apart[0]] & k[whole.apart[1]]
    return Graph(
        whole.nodes[k], whole.rank[k], whole.first[k], whole.closed[k],
        place[whole.a[both]], place[whole.b[both]], whole.seen[both], whole.grade[both],
        whole.weight[both], whole.expired[both],
        (place[whole.apart[0][kept]], place[whole.apart[1][kept]]),
    )  # fmt: skip


SEEDS = range(100)


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_are_those_of_networkx_under_the_same_guards(seed: int) -> None:
    world = World(seed)
    graph = world.graph()
    found = group(graph, RULES)
    groups, blocked = by_networkx(world)
    assert partition(graph, found.label.tolist()) == groups
    ids = graph.nodes.tolist()
    shut = {(ids[a], ids[b]) for a, b, v in zip(graph.a, graph.b, found.verdict, strict=True) if v}
    assert shut == blocked
    vetoed = found.verdict == VETO
    assert (RULES.unique[found.because[vetoed]]).all()
    assert (found.because[found.verdict == OPEN] == -1).all()


def test_the_random_worlds_have_every_verdict() -> None:
    found: Counter[int] = Counter()
    for seed in SEEDS:
        found.update(group(World(seed).graph(), RULES).verdict.tolist())
    assert found.keys() == {OPEN, JUNK, LIMIT, VETO, EXPIRED, UNLINK, BLOCK}


@pytest.mark.parametrize("seed", SEEDS)
def test_any_arrival_order_and_any_batches_group_like_one_go(seed: int) -> None:
    world = World(seed)
    dice = random.Random(seed)
    arrived = list(world.seen)
    dice.shuffle(arrived)
    book = Book()
    cuts = sorted(dice.sample(range(1, len(arrived)), 4))
    for start, end in zip([0, *cuts], [*cuts, len(arrived)], strict=True):
        seeds = {n for p in arrived[start:end] for n in p}
        part = touched(world, arrived[:end], book, seeds)
        book.take(part, group(part, RULES))
        assert book.sizes == Counter(book.links.values()), "the ledger replays to the links"
    whole = world.graph(arrived)
    label = [book.links[n] for n in whole.nodes.tolist()]
    once = group(whole, RULES)
    assert partition(whole, label) == partition(whole, once.label.tolist())
    again = book.take(whole, once)
    assert again.ledger.empty, "a rebuild changes no id"
    assert again.customer.tolist() == label


def tiny(pairs: list[tuple[int, int, int]], rank: dict[int, int]) -> tuple[Graph, Grouping]:
    world = World(0, size=0, pairs=0)
    world.rank, world.junk = rank, set()
    world.seen = {(a, b): t for a, b, t in pairs}
    graph = world.graph()
    return graph, group(graph, RULES)


def test_of_merged_customers_the_oldest_id_stays_and_of_a_split_one_the_larger_part() -> None:
    rank = {1: 0, 10: 2, 11: 2, 20: 3, 21: 3, 22: 3}
    book = Book()
    book.take(*tiny([], {10: 2}))
    book.take(
        *tiny(
            [(1, 20, 3), (1, 21, 3), (1, 22, 3)],
            {k: v for k, v in rank.items() if k < 10 or k > 19},
        )
    )
    assert book.links == {10: 10, 1: 1, 20: 1, 21: 1, 22: 1}
    merged = book.take(
        *tiny(
            [(1, 10, 5), (1, 20, 3), (1, 21, 3), (1, 22, 3)],
            {k: v for k, v in rank.items() if k != 11},
        )
    )
    assert set(book.links.values()) == {10}
    assert merged.ledger[
        ["kind", "customer_id", "from_customer_id", "nodes", "node_a", "node_b"]
    ].values.tolist() == [["merge", 10, 1, 4, 1, 10]]
    parted = book.take(
        *tiny([(1, 20, 3), (1, 21, 3), (1, 22, 3)], {k: v for k, v in rank.items() if k != 11})
    )
    assert {book.links[n] for n in (1, 20, 21, 22)} == {10}
    assert book.links[10] not in (10, 1), "an id that was ever used is not used again"
    assert parted.ledger["kind"].tolist() == ["split"]
    lost = book.take(*tiny([(1, 20, 3)], {1: 0, 20: 3}), gone=[21, 22])
    assert lost.ledger[["kind", "customer_id", "nodes"]].values.tolist() == [["withdraw", 10, 2]]
    assert book.sizes == Counter(book.links.values())


def test_ids_keep_all_their_digits_whatever_else_the_batch_does() -> None:
    big = (1 << 62) + 1
    book = Book()
    book.take(*tiny([], {big: 2}))
    book.take(*tiny([], {big + 2: 0, big + 4: 3}))
    ranks = {big: 2, big + 2: 0}
    done = book.take(*tiny([(big + 2, big, 1)], ranks), gone=[big + 4])
    assert done.ledger[["kind", "customer_id", "from_customer_id", "node_a"]].values.tolist() == [
        ["merge", big, big + 2, big + 2],
        ["withdraw", big + 4, NONE, NONE],
    ]
    assert book.sizes == Counter(book.links.values())


def test_the_edge_that_is_left_out_is_the_weakest_then_the_latest() -> None:
    graph, found = tiny(
        [(1, 10, 5), (2, 10, 3), (1, 20, 1), (2, 20, 2), (1, 21, UNDATED), (2, 21, 9)],
        {1: 0, 2: 0, 10: 2, 20: 3, 21: 3},
    )
    ids = graph.nodes.tolist()
    left = {
        (ids[a], ids[b])
        for a, b, v in zip(graph.a, graph.b, found.verdict, strict=True)
        if v == VETO
    }
    assert left == {(1, 10), (2, 20), (1, 21)}
    assert set(found.because[found.verdict == VETO]) == {0}


def test_a_device_of_too_many_members_joins_none_of_them() -> None:
    graph, found = tiny(
        [(1, 20, 1), (2, 20, 1), (3, 20, 1), (1, 10, 1)], {1: 0, 2: 0, 3: 0, 10: 2, 20: 3}
    )
    assert len(partition(graph, found.label.tolist())) == 4
    assert Counter(found.verdict.tolist()) == {LIMIT: 3, OPEN: 1}
    assert set(found.because[found.verdict == LIMIT]) == {3}


def test_devices_of_many_members_at_scale() -> None:
    size = 100_000
    dice = np.random.default_rng(1)
    a, b = dice.integers(0, size // 2, size), size // 2 + dice.integers(0, size // 2, size)
    rank = np.where(np.arange(size) < size // 2, 0, 3)
    zero = np.zeros(size, dtype=np.int64)
    graph = Graph(np.arange(1, size + 1), rank, zero, zero, a, b, zero[a])
    found = group(graph, RULES)
    groups = np.unique(found.label[: size // 2])
    assert len(groups) == size // 2, "no two members in one group"


def test_a_limit_within_days_counts_what_is_first_met_in_any_such_window() -> None:
    # Member 1 meets five devices in a week at most four at a time, member 2 five within one week.
    days = {1: [0, 1, 2, 3, 7, UNDATED], 2: [0, 6, 6, 6, 6]}
    pairs = [(m, 100 * m + i, d) for m, ds in days.items() for i, d in enumerate(ds)]
    nodes = np.array(sorted({n for a, b, _ in pairs for n in (a, b)}), dtype=np.int64)
    a, b = (np.searchsorted(nodes, [p[i] for p in pairs]) for i in (0, 1))
    seen = np.array([d if d == UNDATED else d * DAY for _, _, d in pairs], dtype=np.int64)
    rank = np.where(nodes < 100, 0, 1)
    for at_most, within, over in ((4, 7, [2]), (3, 7, [1, 2]), (5, 7, []), (5, 0, [1]), (4, 6, [])):
        rules = TypeRules.make(
            ["member", "device"], [True, False], [None] * 2, [None] * 2,
            windows=[Window(0, 1, at_most, within)],
        )  # fmt: skip
        found = over_limit(nodes, rank, a, b, rules, seen)
        assert nodes[found].tolist() == over, (at_most, within)
