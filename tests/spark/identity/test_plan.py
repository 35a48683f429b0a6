"""A plan tells what applying the rules would do, and writes nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from pyspark.sql import DataFrame, SparkSession
from tests.spark.identity.memory import RULES, Decision, Memory, kind_of, rules_of, world

from lakecdp.identity.plan import plan

# Members may share a customer, kiosks join everybody; or: phones and devices join hardly anybody.
LOOSE = RULES.replace("unique: true", "unique: false").replace(
    "limit: 4, limit_all: 40", "limit: 99"
)
JUNK = RULES.replace("limit: 3}", "limit: 3, junk: {values: [v200, v201, v202]}}")
STRICT = RULES.replace("limit: 3", "limit: 1").replace("limit: 4, limit_all: 40", "limit: 1")


def members(links: dict[int, int]) -> dict[int, frozenset[int]]:
    """Identifiers of each customer."""
    found: dict[int, set[int]] = {}
    for node, customer in links.items():
        found.setdefault(customer, set()).add(node)
    return {c: frozenset(n) for c, n in found.items()}


def blocked(memory: Memory) -> Counter[str]:
    """Pairs kept apart by reason."""
    rows = memory.rows["identity.edge"].values()
    return Counter(
        reason
        for _, _, reason in {
            (r["node_a"], r["node_b"], r["reason"]) for r in rows if r["status"] != "removed"
        }
        if reason
    )


DECIDED: tuple[Decision, ...] = (
    ("link", 102, 103), ("link", 101, 4901), ("unlink", 104, 204), ("block", 305)
)  # fmt: skip


def decisions_of(memory: Memory) -> DataFrame:
    """The decisions in force, as the files would say them."""
    return memory.read("identity.decision").where("valid_to IS NULL")


@pytest.mark.parametrize(
    ("seed", "other", "decided"),
    [(1, LOOSE, ()), (2, STRICT, ()), (3, JUNK, ()), (4, RULES, DECIDED)],
)
def test_a_plan_is_what_applying_does(
    spark: SparkSession, seed: int, other: str, decided: tuple[Decision, ...]
) -> None:
    memory = Memory(spark)
    for part in world(seed):
        memory.deliver(part)
    if decided:
        memory.decide([("block", 306), ("link", 103, 207)])
    memory.take(rules_of(), full=True)
    for (node,) in memory.rows["identity.node"]:
        row = {"node_id": node, "type": kind_of(node), "value": f"v{node}"}
        memory.rows["silver.identifier"][node] = row
    assert plan(memory.read, rules_of(), decisions_of(memory), memory.run_date).nothing

    links, was = memory.links(), blocked(memory)
    rows = {t: dict(r) for t, r in memory.rows.items()}
    future = Memory(spark)
    future.decide(decided)
    told = plan(memory.read, rules_of(other), decisions_of(future), memory.run_date)
    assert memory.rows == rows, "nothing is written"

    memory.decide(decided)
    memory.take(rules_of(other), full=True)
    applied = memory.links()
    before, after = members(links), members(applied)
    assert (told.unchanged, told.moved, told.gone, told.new) == (
        sum(after.get(c) == n for c, n in before.items()),
        sum(c in after and after[c] != n for c, n in before.items()),
        len(before.keys() - after.keys()),
        len(after.keys() - before.keys()),
    )
    assert told.moved > 0, "the rules make a difference"
    assert told.gone + told.new > 0
    assert told.identifiers == sum(applied.get(n) != c for n, c in links.items())
    for cluster, state in zip(told.largest, (before, after), strict=True):
        assert cluster.size == max(map(len, state.values()))
        mine = state[cluster.customer_id]
        assert cluster.identifiers == Counter(kind_of(n) for n in mine)
    assert told.blocked == (was, blocked(memory))
    if decided:
        assert told.blocked[1].keys() >= {"unlink", "block:device_id"}
    ledger = [r for r in memory.rows["identity.change"].values() if r["_batch"] == memory.seq]
    assert Counter(told.changes["kind"]) == Counter(r["kind"] for r in ledger)
    assert told.changes["nodes"].is_monotonic_decreasing
