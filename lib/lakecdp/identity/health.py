"""The health of identity: does it join too much, or too little?

Too much shows in large customers, in identifiers that meet more others than they may (super-nodes),
in weak identifiers that alone hold strong ones together (bridges) and in conflicts that a veto had
to settle. Too little shows in customers of one identifier and in channels few records of which
reach a known customer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.arrays import connected
from lakecdp.identity.evidence import in_force
from lakecdp.identity.grouping import Ints
from lakecdp.identity.resolve import EDGE, LINK, NODE
from lakecdp.identity.shared import counting, is_shared
from lakecdp.silver.sessions import owned
from lakecdp.silver.valid import valid

SHOWN = 10
SAMPLES = 3
LOOKED_AT = 200
"""Largest customers in which bridges are sought."""
PERCENTILES = (0.5, 0.9, 0.99, 1.0)
CHANNELS = {"silver.event": "events", "silver.order_header": "orders"}


@dataclass(frozen=True)
class SuperNode:
    """An identifier that meets more others than it may, and so joins nothing.

    Attributes:
        node_id: the identifier.
        type: its type.
        met: how many others it meets.
        samples: some of them: node ids.
    """

    node_id: int
    type: str
    met: int
    samples: tuple[int, ...]


@dataclass(frozen=True)
class Bridge:
    """An identifier without which its customer would fall into parts with stronger identifiers.

    Attributes:
        node_id: the identifier.
        type: its type.
        customer_id: the customer.
        parts: the parts that have an identifier of a stronger type; two or more.
    """

    node_id: int
    type: str
    customer_id: int
    parts: int


@dataclass(frozen=True)
class LinkRate:
    """Records of one channel, and those that reach a known customer.

    A customer is known by an identifier that stands for a person, not only for a device. An event
    counts for its owner in force; what nobody logged in did on a shared device reaches nobody.
    """

    records: str
    channel: str
    total: int
    known: int

    @property
    def rate(self) -> float:
        """Share of the records."""
        return self.known / self.total if self.total else 0.0


@dataclass(frozen=True)
class Health:
    """What the tables of identity say of themselves.

    Attributes:
        customers: customers.
        identifiers: identifiers with a customer.
        sizes: identifiers of a customer: the median, 90 %, 99 % and the largest.
        singles: customers of one identifier, by its type.
        blocked: pairs kept apart, by reason.
        shared: devices that persons share: what nobody logged in did there counts for nobody.
        super_nodes: those that meet most, at most SHOWN.
        bridges: in the largest customers, those that hold most parts together, at most SHOWN.
        suspects: customers with most pairs kept apart by a veto inside or beside them: customer ->
            pairs, at most SHOWN.
        channels: by records and channel.
    """

    customers: int
    identifiers: int
    sizes: tuple[int, ...]
    singles: Mapping[str, int]
    blocked: Mapping[str, int]
    shared: int
    super_nodes: tuple[SuperNode, ...]
    bridges: tuple[Bridge, ...]
    suspects: Mapping[int, int]
    channels: tuple[LinkRate, ...]


def health(read: Callable[[str], DataFrame], rules: IdentityRules) -> Health:
    """Look at identity as it is published.

    Args:
        read: the published rows of a table.
        rules: the rules in force.
    """
    nodes, edges = read(NODE), in_force(read(EDGE))
    links = read(LINK).where("valid_to IS NULL").select("node_id", "customer_id")
    typed = links.join(nodes.select("node_id", "type"), "node_id")
    customers = typed.groupBy("customer_id").agg(
        F.count(F.lit(1)).alias("size"),
        F.min("type").alias("type"),
        F.max(F.col("type").isin(*persons(rules))).alias("known"),
    )
    customers = customers.persist()
    pairs = edges.groupBy("node_a", "node_b").agg(
        F.min("type_a").alias("type_a"),
        F.min("type_b").alias("type_b"),
        F.max("reason").alias("reason"),
    )
    try:
        sizes = customers.groupBy("size").count().toPandas()
        singles = customers.where("size = 1").groupBy("type").count().collect()
        blocked = pairs.where("reason IS NOT NULL").groupBy("reason").count().collect()
        return Health(
            customers=int(sizes["count"].sum()),
            identifiers=int((sizes["size"] * sizes["count"]).sum()),
            sizes=percentiles(sizes),
            singles={r["type"]: r["count"] for r in sorted(singles, key=lambda r: r["type"])},
            blocked={r["reason"]: r["count"] for r in sorted(blocked, key=lambda r: r["reason"])},
            shared=nodes.where(is_shared(rules)).count(),
            super_nodes=_super_nodes(nodes, pairs),
            bridges=_bridges(customers, typed, pairs, rules.names),
            suspects=_suspects(pairs, links),
            channels=_channels(read, counting(links, nodes, rules), customers),
        )
    finally:
        customers.unpersist()


def persons(rules: IdentityRules) -> list[str]:
    """Types that stand for a person."""
    return [t.name for t in rules.types if t.of == "person"]


def percentiles(sizes: pd.DataFrame) -> tuple[int, ...]:
    """The smallest size that so many customers do not exceed (nearest rank).

    Args:
        sizes: one row per size, and the count of customers.
    """
    if sizes.empty:
        return (0,) * len(PERCENTILES)
    rows = sizes.sort_values("size")
    share = rows["count"].cumsum() / rows["count"].sum()
    # A share like 0.9 is reached although the division misses it by the last bit.
    places = [int(np.argmax(share.to_numpy() >= p - 1e-12)) for p in PERCENTILES]
    return tuple(int(rows["size"].iloc[i]) for i in places)


def _super_nodes(nodes: DataFrame, pairs: DataFrame) -> tuple[SuperNode, ...]:
    over = nodes.where("status = 'limit'").select("node_id", "type")
    ends = pairs.select(F.col("node_a").alias("node_id"), F.col("node_b").alias("other"))
    ends = ends.unionByName(
        pairs.select(F.col("node_b").alias("node_id"), F.col("node_a").alias("other"))
    )
    met = ends.join(over, "node_id").groupBy("node_id", "type")
    rows = (
        met.agg(
            F.count(F.lit(1)).alias("met"),
            F.slice(F.array_sort(F.collect_list("other")), 1, SAMPLES).alias("samples"),
        )
        .orderBy(F.desc("met"), "node_id")
        .limit(SHOWN)
        .collect()
    )
    return tuple(SuperNode(r["node_id"], r["type"], r["met"], tuple(r["samples"])) for r in rows)


def _bridges(
    customers: DataFrame, typed: DataFrame, pairs: DataFrame, names: Sequence[str]
) -> tuple[Bridge, ...]:
    largest = (
        customers.where("size > 2")
        .orderBy(F.desc("size"), "customer_id")
        .limit(LOOKED_AT)
        .select("customer_id")
    )
    members = typed.join(F.broadcast(largest), "customer_id").toPandas()
    if members.empty:
        return ()
    inside = typed.join(F.broadcast(largest), "customer_id").select(
        F.col("node_id").alias("node_a")
    )
    held = pairs.where("reason IS NULL").join(inside, "node_a", "left_semi")
    ends = held.select("node_a", "node_b").toPandas()
    place = {n: i for i, n in enumerate(names)}
    rank = dict(zip(members["node_id"], members["type"].map(place).fillna(len(names)), strict=True))
    owner = dict(zip(members["node_id"], members["customer_id"], strict=True))
    kind = dict(zip(members["node_id"], members["type"], strict=True))
    ends = ends[ends["node_b"].isin(owner)]
    found: list[Bridge] = []
    of = ends["node_a"].map(owner)
    for customer, mine in ends.groupby(of, sort=True):
        every = np.unique(mine.to_numpy(np.int64))
        ranks = np.array([rank[n] for n in every])
        a, b = (np.searchsorted(every, mine[c].to_numpy(np.int64)) for c in ("node_a", "node_b"))
        for i, parts in enumerate(strong_parts(ranks, a, b)):
            if parts > 1:
                node = int(every[i])
                found.append(Bridge(node, str(kind[node]), int(customer), parts))
    found.sort(key=lambda x: (-x.parts, x.node_id))
    return tuple(found[:SHOWN])


def strong_parts(rank: Ints, a: Ints, b: Ints) -> list[int]:
    """For each node of a graph: into how many parts with stronger nodes the rest falls without it.

    Args:
        rank: strength of each node, 0 the strongest.
        a: place of one end of each edge.
        b: place of the other.
    """
    out = []
    for node, mine in enumerate(rank.tolist()):
        if not (rank < mine).any():
            out.append(0)
            continue
        kept = (a != node) & (b != node)
        label = connected(len(rank), a[kept], b[kept])[1]
        out.append(len(np.unique(label[rank < mine])))
    return out


def _suspects(pairs: DataFrame, links: DataFrame) -> dict[int, int]:
    vetoed = pairs.where(F.col("reason").startswith("veto"))
    of_a = links.select(F.col("node_id").alias("node_a"), F.col("customer_id").alias("x"))
    of_b = links.select(F.col("node_id").alias("node_b"), F.col("customer_id").alias("y"))
    both = vetoed.join(of_a, "node_a").join(of_b, "node_b")
    rows = (
        both.select(F.explode(F.array_distinct(F.array("x", "y"))).alias("customer_id"))
        .groupBy("customer_id")
        .count()
        .orderBy(F.desc("count"), "customer_id")
        .limit(SHOWN)
        .collect()
    )
    return {r["customer_id"]: r["count"] for r in rows}


def _channels(
    read: Callable[[str], DataFrame], links: DataFrame, customers: DataFrame
) -> tuple[LinkRate, ...]:
    known = links.join(customers.where("known").select("customer_id"), "customer_id")
    known = known.select(F.col("node_id").alias("owner_node"), F.lit(1).alias("known"))
    found: list[LinkRate] = []
    for table, name in CHANNELS.items():
        records = read(table)
        if table == "silver.event":
            records = valid(records, read("silver.event_traffic"))
            records = owned(records, read("silver.event_session"))
        rows = records.join(known, "owner_node", "left").groupBy("channel")
        rates = rows.agg(F.count(F.lit(1)).alias("total"), F.count("known").alias("known"))
        found += [LinkRate(name, r["channel"], r["total"], r["known"]) for r in rates.collect()]
    return tuple(sorted(found, key=lambda x: (x.records, x.channel)))
