"""The health report on a small world, against the same rows counted in Python."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime

import networkx as nx
from pyspark.sql import DataFrame, SparkSession
from tests.spark.identity.memory import Memory, record, rules_of, world

from lakecdp.identity.health import SHOWN, health

KINDS = {1: "member_id", 2: "phone", 3: "device_id", 4: "cookie"}  # by the first digit, see `world`


def kind(node: int) -> str:
    return KINDS[int(str(node)[0])]


def test_the_report_is_what_the_rows_say(spark: SparkSession) -> None:
    memory, rules = Memory(spark), rules_of()
    for number, part in enumerate(world(1)):
        memory.deliver(part)
        memory.take(rules, full=number == 0)
    # Two members who share nothing but a phone, and somebody without any other identifier.
    at = datetime(2026, 3, 1, tzinfo=UTC)
    alone = [[("phone", 290), ("device_id", d)] for d in (391, 392)]
    alone += [[("device_id", d), ("cookie", c)] for d, c in ((391, 4901), (392, 4901), (393, 4902))]
    memory.deliver(
        [("silver.event", record("silver.event", f"x{i}", at, x)) for i, x in enumerate(alone)]
    )
    memory.take(rules, full=False)

    def read(name: str) -> DataFrame:
        if name == "silver.event_session":
            return sessions
        if name == "silver.event_traffic":
            return spark.createDataFrame([], "event_date DATE, event_id STRING, kind STRING")
        found = memory.read(name)
        if name == "silver.event":
            return found.selectExpr(
                "*",
                "if(event_id like 'k0%', 'app', 'web') AS channel",
                "NULL AS invalid_reason",
                "'page_view' AS event_name",
            )
        return found.selectExpr("*", "'store' AS channel") if "order" in name else found

    # What some events leave open their session tells; of the others the owner is their own.
    events = memory.rows["silver.event"]
    alone = [
        k for k, r in sorted(events.items()) if kind(r["owner_node"]) in ("device_id", "cookie")
    ]
    inherited = dict(zip(alone[::3], itertools.cycle((101, 205)), strict=False))
    rows = [(*k, inherited.get(k) or events[k]["owner_node"], k in inherited) for k in alone]
    sessions = spark.createDataFrame(
        rows, "event_date DATE, event_id STRING, owner_node BIGINT, inherited BOOLEAN"
    )

    told = health(read, rules)
    links = memory.links()
    status = {n: r["status"] for (n,), r in memory.rows["identity.node"].items()}
    shared = {
        n for n in links if kind(n) in ("device_id", "cookie") and status[n] in ("shared", "limit")
    }
    assert told.shared == len(shared) > 1
    sizes = Counter(Counter(links.values()).values())
    assert told.customers == len(set(links.values()))
    assert told.identifiers == len(links)
    assert told.sizes[-1] == max(sizes)
    lone = {c for c, n in Counter(links.values()).items() if n == 1}
    assert told.singles == Counter(kind(n) for n, c in links.items() if c in lone)

    pairs = {
        (r["node_a"], r["node_b"]): r["reason"]
        for r in memory.rows["identity.edge"].values()
        if r["status"] != "removed"
    }
    assert told.blocked == Counter(r for r in pairs.values() if r)
    met = Counter(n for pair in pairs for n in pair)
    over = {n for n, r in memory.rows["identity.node"].items() if r["status"] == "limit"}
    assert over
    assert {(s.node_id, s.type, s.met) for s in told.super_nodes} == {
        (n, kind(n), met[n]) for (n,) in over
    }
    for s in told.super_nodes:
        assert all((n, s.node_id) in pairs or (s.node_id, n) in pairs for n in s.samples)

    graph = nx.Graph(pair for pair, reason in pairs.items() if not reason)
    bridges = {}
    for node in graph:
        customer = [n for n in links if links[n] == links[node] and n != node]
        parts = list(nx.connected_components(graph.subgraph(customer)))
        strong = [p for p in parts if any(kind(n) != kind(node) and str(n) < str(node) for n in p)]
        if len(customer) > 1 and len(strong) > 1:
            bridges[node] = len(strong)
    first = sorted(bridges, key=lambda n: (-bridges[n], n))[:SHOWN]
    assert [(b.node_id, b.parts) for b in told.bridges] == [(n, bridges[n]) for n in first]
    assert {b.customer_id for b in told.bridges} == {links[b.node_id] for b in told.bridges}

    beside = Counter(
        c
        for (a, b), reason in pairs.items()
        if reason and reason.startswith("veto")
        for c in {links[a], links[b]}
    )
    assert told.suspects == {c: beside[c] for c in told.suspects}
    assert len(told.suspects) == min(SHOWN, len(beside))

    known = {c for n, c in links.items() if kind(n) in ("member_id", "phone")}
    reach: Counter[tuple[str, str, str]] = Counter()
    for table, name in (("silver.event", "events"), ("silver.order_header", "orders")):
        for r in memory.rows[table].values():
            channel = "store" if "order" in table else ("web", "app")[r["event_id"][:2] == "k0"]
            reach[name, channel, "total"] += 1
            key = (r["event_date"], r["event_id"]) if "event_id" in r else None
            owner = inherited.get(key, r["owner_node"])
            reach[name, channel, "known"] += owner not in shared and links[owner] in known
    assert {(r.records, r.channel): (r.total, r.known) for r in told.channels} == {
        key[:2]: (n, reach[(*key[:2], "known")]) for key, n in reach.items() if key[2] == "total"
    }
    assert any(0 < r.rate < 1 for r in told.channels)
