"""A plan tells what applying the rules would do, and writes nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from pyspark.sql import SparkSession
from tests.spark.identity.memory import RULES, Memory, rules_of, world

from lakecdp.identity.plan import plan

# Members may share a customer, kiosks join everybody; or: phones and devices join hardly anybody.
LOOSE = RULES.replace("unique: true", "unique: false").replace(
    "limit: 4, limit_all: 40", "limit: 99"
)
JUNK = RULES.replace("limit: 3}", "limit: 3, junk: {values: [v200, v201, v202]}}")
STRICT = RULES.replace("limit: 3", "limit: 1").replace("limit: 4, limit_all: 40", "limit: 1")

KINDS = {1: "member_id", 2: "phone", 3: "device_id", 4: "cookie"}  # by the first digit, see `world`


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
        reason for _, _, reason in {(r["node_a"], r["node_b"], r["reason"]) for r in rows} if reason
    )


@pytest.mark.parametrize(("seed", "other"), [(1, LOOSE), (2, STRICT), (3, JUNK)])
def test_a_plan_is_what_applying_does(spark: SparkSession, seed: int, other: str) -> None:
    memory = Memory(spark)
    for part in world(seed):
        memory.deliver(part)
    memory.take(rules_of(), full=True)
    for (node,) in memory.rows["identity.node"]:
        row = {"node_id": node, "type": KINDS[int(str(node)[0])], "value": f"v{node}"}
        memory.rows["silver.identifier"][node] = row
    assert plan(memory.read, rules_of()).nothing

    links, was = memory.links(), blocked(memory)
    rows = {t: dict(r) for t, r in memory.rows.items()}
    told = plan(memory.read, rules_of(other))
    assert memory.rows == rows, "nothing is written"

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
    assert told.identifiers == sum(applied[n] != c for n, c in links.items())
    for cluster, state in zip(told.largest, (before, after), strict=True):
        assert cluster.size == max(map(len, state.values()))
        mine = state[cluster.customer_id]
        assert cluster.identifiers == Counter(KINDS[int(str(n)[0])] for n in mine)
    assert told.blocked == (was, blocked(memory))
    ledger = [r for r in memory.rows["identity.change"].values() if r["_batch"] == memory.seq]
    assert Counter(told.changes["kind"]) == Counter(r["kind"] for r in ledger)
    assert told.changes["nodes"].is_monotonic_decreasing
