"""Grouping by the executors gives what grouping on the driver gives, and what networkx gives."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from datetime import date

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.spark.identity.memory import RULES as TEXT
from tests.spark.identity.memory import Memory, rules_of, world
from tests.spark.identity.test_increments import DECIDED, EXPIRING
from tests.unit.test_identity_grouping import RULES, World, by_networkx

from lakecdp.identity.contraction import components, united
from lakecdp.identity.customers import NONE, Before, assign
from lakecdp.identity.distributed import numbered_changes, regroup
from lakecdp.identity.evidence import DECISION
from lakecdp.identity.grouping import (
    DAY,
    LIKELY,
    MANUAL,
    OPEN,
    SEEN,
    UNDATED,
    TypeRules,
    group,
)
from lakecdp.identity.numbers import STATUS, WHY
from lakecdp.identity.region import Decided, Lake
from lakecdp.identity.resolve import WRITES

KINDS = ["member", "union", "phone", "device"]
WITH_UNKNOWN = TypeRules.make(
    [*KINDS, "unknown"],
    [*RULES.unique.tolist(), False],
    [*RULES.limit.tolist(), None],
    [*RULES.limit_all.tolist(), None],
    [30, 30, 30, 30, None],
    RULES.windows,
)
UNTIL = 1_000 * DAY
TARGETS = {SEEN: "silver.event", MANUAL: DECISION, LIKELY: "identity.match"}
STRICT = TEXT.replace("limit: 3}", "limit: 1}").replace("unique: true", "unique: false")


def keep(frame: DataFrame) -> DataFrame:
    return frame.localCheckpoint()


def test_components_are_those_of_networkx(spark: SparkSession) -> None:
    dice = random.Random(5)
    pairs: list[tuple[int, int]] = []
    chain = dice.sample(range(1, 1 << 62), 300)
    pairs += itertools.pairwise(chain)
    numbers = range(1_000, 1_300)
    pairs += itertools.pairwise(numbers)
    pairs += [(5, n) for n in range(2_000, 2_200)] + [(n, 6) for n in range(3_000, 3_100)]
    pairs += [(7, 7), (8, 9), (9, 8), (8, 9)]
    for seed in range(40):
        base = seed * 10_000 + 100_000
        size = dice.randrange(2, 60)
        pairs += [(base + dice.randrange(size), base + dice.randrange(size)) for _ in range(size)]
    dice.shuffle(pairs)
    edges = spark.createDataFrame(pairs, "owner BIGINT, other BIGINT")
    roots = {r["node"]: r["root"] for r in components(edges, 20, keep).collect()}
    nodes = {n for p in pairs for n in p}
    groups: dict[int, set[int]] = {}
    for node in nodes:
        groups.setdefault(roots.get(node, node), set()).add(node)
    expected = {frozenset(c) for c in nx.connected_components(nx.Graph(pairs))}
    assert {frozenset(g) for g in groups.values()} == expected
    a, b = np.array(pairs, dtype=np.int64).T
    known, root = united(a, b)
    whole = pd.Series(known).groupby(root).agg(frozenset)
    assert set(whole) == expected


class Case:
    """A random graph, in every other one with decisions of persons, and random customers before."""

    def __init__(self, seed: int):
        self.world = World(seed)
        # The time of what no record shows does not count.
        self.world.seen |= dict.fromkeys(self.world.grade, UNDATED)
        self.graph = self.world.graph()
        dice = random.Random(seed)
        ids = self.graph.nodes.tolist()
        founders = dice.sample(ids, 12)
        pool = [*founders[:8], *(dice.randrange(1, 1 << 62) for _ in range(2))]
        self.links = {n: dice.choice(pool) for n in ids if seed % 4 and dice.random() < 0.5}
        # An identifier that exists no more, and ids that were used once.
        self.lost = {dice.randrange(1, 1 << 62): dice.choice(pool)} if seed % 4 else {}
        self.past = {dice.randrange(1, 1 << 62): c for c in founders[6:]} if seed % 4 else {}
        self.began = {c: 1 + dice.randrange(5) for c in {*pool, *founders}}
        paired = set(self.world.seen)
        self.withdrawn = [
            p for p in (tuple(dice.sample(ids, 2)) for _ in range(6)) if p not in paired
        ]
        self.was = {p: "veto:member" for p in self.world.seen if dice.random() < 0.1}

    def expected(self) -> tuple[set, set, set]:
        """Links that move, verdicts and the ledger, on the driver."""
        g, ids = self.graph, self.graph.nodes.tolist()
        grouping = group(g, WITH_UNKNOWN)
        prev = np.array([self.links.get(n, NONE) for n in ids], dtype=np.int64)
        used = {*self.links.values(), *self.lost.values(), *self.past.values()}
        ends = sorted(self.withdrawn)
        gone = tuple(np.array([ids.index(p[i]) for p in ends], dtype=np.int64) for i in (0, 1))
        before = Before(
            prev,
            pd.Series({c: self.began[c] for c in used}, dtype=np.int64),
            lambda some: np.isin(some, list(used)),
            np.array(list(self.lost.values()), dtype=np.int64),
            (gone[0], gone[1]),
        )
        after = assign(g, grouping, before)
        moved = {
            (n, c, p)
            for n, c, p in zip(ids, after.customer.tolist(), prev.tolist(), strict=True)
            if c != p
        }
        said = {}
        for i, (a, b) in enumerate(zip(g.a, g.b, strict=True)):
            pair, v = (ids[a], ids[b]), int(grouping.verdict[i])
            kind = int(grouping.because[i])
            now = (WHY[v] if kind < 0 else f"{WHY[v]}:{KINDS[kind]}") if v != OPEN else ""
            if now or pair in self.was:
                said[pair] = now
        rows = after.ledger.itertuples(index=False)
        ledger = {
            tuple(
                x or None
                for x in (r.kind, r.customer_id, r.from_customer_id, r.nodes, r.node_a, r.node_b)
            )
            for r in rows
        }
        return moved, set(said.items()), ledger


def lake_of(spark: SparkSession, cases: list[Case]) -> tuple[Lake, DataFrame]:
    """All cases as one lake, and their withdrawn pairs."""
    nodes = [
        (
            n,
            KINDS[c.world.rank[n]],
            "junk" if n in c.world.junk else None,
            None if t == UNDATED else t,
        )
        for c in cases
        for n, t in zip(c.graph.nodes.tolist(), c.graph.first.tolist(), strict=True)
    ]
    edges = [
        (*p, KINDS[c.world.rank[p[0]]], KINDS[c.world.rank[p[1]]], source,
         None if t == UNDATED else t + late, c.was.get(p),
         TARGETS[c.world.grade.get(p, SEEN)], c.world.weight.get(p, 1.0),
         UNTIL - DAY * (100 if p in c.world.expired else 1))
        for c in cases
        for p, t in c.world.seen.items()
        for source, late in [("web", 0), ("app", 1)][: 1 + p[0] % 2]
    ]  # fmt: skip
    links = [
        (n, customer, c.began[customer], end)
        for c in cases
        for some, end in ((c.links, None), (c.lost, None), (c.past, 10))
        for n, customer in some.items()
    ]
    at = F.timestamp_micros
    unlinked = [p for c in cases for p in c.world.apart]
    node = spark.createDataFrame(nodes, "node_id BIGINT, type STRING, status STRING, t BIGINT")
    edge = spark.createDataFrame(
        edges,
        "node_a BIGINT, node_b BIGINT, type_a STRING, type_b STRING, source STRING, t BIGINT, "
        "reason STRING, target STRING, weight DOUBLE, l BIGINT",
    )
    link = spark.createDataFrame(links, "node_id BIGINT, customer_id BIGINT, f BIGINT, u BIGINT")
    lake = Lake(
        node.withColumn("first_seen", at("t")),
        edge.withColumns({"first_seen": at("t"), "last_seen": at("l"), "_changed": F.lit(False)}),
        link.select(
            "node_id", "customer_id", at("f").alias("valid_from"), at("u").alias("valid_to")
        ),
        tuple(KINDS),
        WITH_UNKNOWN,
        Decided(
            np.array([n for c in cases for n in c.world.blocked], dtype=np.int64),
            (np.array([p[0] for p in unlinked]), np.array([p[1] for p in unlinked])),
        ),
        UNTIL,
    )
    gone = [p for c in cases for p in c.withdrawn]
    return lake, spark.createDataFrame(gone, "node_a BIGINT, node_b BIGINT")


def test_random_graphs_with_random_customers_before(spark: SparkSession) -> None:
    cases = [Case(seed) for seed in range(100)]
    lake, gone = lake_of(spark, cases)
    done = regroup(lake, gone, 400, keep)
    assert done.nodes == sum(len(c.graph.nodes) for c in cases)
    moved = {tuple(r)[:3] for r in done.moved.select("node_id", "customer_id", "before").collect()}
    said = {((r["node_a"], r["node_b"]), r["_now"]) for r in done.verdicts.collect()}
    told = [r.asDict() for r in numbered_changes(done.ledger, keep).collect()]
    columns = ["kind", "customer_id", "from_customer_id", "nodes", "node_a", "node_b"]
    ledger = {tuple(r[c] for c in columns) for r in told}
    expected = [c.expected() for c in cases]
    assert moved == set().union(*(e[0] for e in expected))
    assert said == set().union(*(e[1] for e in expected))
    assert ledger == set().union(*(e[2] for e in expected))
    assert {r["kind"] for r in told} == {"create", "extend", "merge", "split", "withdraw"}
    ordered = sorted(told, key=lambda r: (r["customer_id"], r["kind"], r["from_customer_id"] or 0))
    assert [r["number"] for r in ordered] == list(range(1, len(told) + 1))

    customer = {n: c for n, c, _ in moved}
    for c in cases:
        groups: dict[int, set[int]] = {}
        for n in c.graph.nodes.tolist():
            groups.setdefault(customer.get(n, c.links.get(n, NONE)), set()).add(n)
        assert {frozenset(g) for g in groups.values()} == by_networkx(c.world)[0]
    status = {r["node_id"]: r["_now"] for r in done.statuses.collect()}
    for c in cases:
        for n, shut in zip(c.graph.nodes.tolist(), c.graph.closed.tolist(), strict=True):
            assert status.get(n, "active") == STATUS[shut]


@pytest.mark.parametrize("seed", [11, 13])
def test_the_job_writes_the_same_rows_either_way(spark: SparkSession, seed: int) -> None:
    near, far = Memory(spark), Memory(spark)
    ways = ((near, 10**9), (far, 5))
    days = [date(2026, 1, 20), date(2026, 1, 31), date(2026, 1, 26)]
    kinds: Counter[str] = Counter()
    for number, part in enumerate(world(seed)):
        for memory, edges in ways:
            memory.run_date = days[number]
            memory.deliver(part)
            memory.decide(DECIDED[number])
            done = memory.take(
                rules_of(EXPIRING), full=number == 0, whole_below=10**9, in_memory_edges=edges
            )
        kinds += done.changes
        assert near.written == far.written
    for memory, edges in ways:
        done = memory.take(rules_of(STRICT), full=True, in_memory_edges=edges)
    kinds += done.changes
    for table in WRITES:
        assert far.rows[table] == near.rows[table], table
    assert kinds.keys() >= {"create", "extend", "merge", "split"}
    far.take(rules_of(STRICT), full=True, in_memory_edges=5)
    assert not far.written, "nothing new, nothing written"
