"""What other rules or decisions would make of the customers, before anything is written.

All evidence that resolve has taken in is grouped by the rules asked about, ids are given from the
links as they are, and both states are held together identifier by identifier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity import evidence, numbers, region
from lakecdp.identity.customers import LEDGER, NONE, Before, assign
from lakecdp.identity.decisions import decided
from lakecdp.identity.evidence import DECISION, EDGE_KEY, as_records, in_force
from lakecdp.identity.grouping import Ints, group
from lakecdp.identity.resolve import EDGE, LINK, NODE, end_of, reasons

EXAMPLES = 10
_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Cluster:
    """A customer by its size.

    Attributes:
        customer_id: the customer; 0 where there is none.
        identifiers: how many it has, by type.
    """

    customer_id: int
    identifiers: Mapping[str, int]

    @property
    def size(self) -> int:
        """Identifiers in all."""
        return sum(self.identifiers.values())


@dataclass(frozen=True)
class Plan:
    """Both states held together.

    Attributes:
        unchanged: customers with the same identifiers before and after.
        moved: customers that stay and gain or lose identifiers.
        gone: customers whose identifiers all go to others.
        new: customers that begin.
        identifiers: how many identifiers go to another customer.
        largest: the largest customer before and after.
        blocked: pairs of identifiers kept apart, by reason, before and after.
        changes: the ledger that applying would write, largest first (columns LEDGER).
    """

    unchanged: int
    moved: int
    gone: int
    new: int
    identifiers: int
    largest: tuple[Cluster, Cluster]
    blocked: tuple[Mapping[str, int], Mapping[str, int]]
    changes: pd.DataFrame

    @property
    def nothing(self) -> bool:
        """Whether every customer stays as it is."""
        return not (self.moved or self.gone or self.new)


def plan(
    read: Callable[[str], DataFrame], rules: IdentityRules, decisions: DataFrame, day: date
) -> Plan:
    """Group all evidence by other rules and decisions and compare; writes nothing.

    Args:
        read: the published rows of a table.
        rules: the rules asked about.
        decisions: the decisions asked about, in the columns of identity.decision.
        day: the run date of the customers as they are.
    """
    nodes, edges = _with_links(read(NODE), in_force(read(EDGE)), as_records(decisions))
    same = F.lit(False)
    refused = numbers.junk_nodes(read("silver.identifier"), rules).select(
        "node_id", F.lit("junk").alias("_junk")
    )
    nodes = nodes.drop("status").join(refused, "node_id", "left")
    lake = region.Lake(
        nodes.withColumnsRenamed({"_junk": "status"}).withColumn("_changed", same),
        edges.withColumn("_changed", same),
        read(LINK),
        rules.names,
        numbers.type_rules(rules),
        decided(decisions),
        end_of(day),
    )
    found = region.everything(lake)
    grouping = group(found.graph, lake.rules)
    before = Before(found.customer, found.created, found.used, _NONE, (_NONE, _NONE))
    after = assign(found.graph, grouping, before)
    was = found.pairs.column("was").to_pylist()
    kinds = [*lake.names, numbers.UNKNOWN]
    told = after.ledger.sort_values(
        ["nodes", "customer_id", "from_customer_id"], ascending=[False, True, True]
    )
    return Plan(
        **counted(found.customer, after.customer),
        largest=(
            _largest(found.customer, found.graph.rank, kinds),
            _largest(after.customer, found.graph.rank, kinds),
        ),
        blocked=(
            Counter(r for r in was if r),
            Counter(r for r in reasons(found, grouping, lake.names) if r),
        ),
        changes=told[LEDGER].reset_index(drop=True),
    )


def _with_links(
    nodes: DataFrame, edges: DataFrame, decisions: DataFrame
) -> tuple[DataFrame, DataFrame]:
    """Nodes and edges with the decided links in place of those that were in force."""
    links = evidence.records(DECISION, decisions)
    said = edges.where(F.col("target") == DECISION).select(*EDGE_KEY, "status", "reason")
    manual = evidence.edges(links).join(said, EDGE_KEY, "left")
    unseen = evidence.nodes(links).join(nodes, "node_id", "left_anti")
    rest = edges.where(F.col("target") != DECISION).select(*manual.columns)
    return nodes.unionByName(unseen, allowMissingColumns=True), rest.unionByName(manual)


def counted(before: Ints, after: Ints) -> dict[str, int]:
    """Customers unchanged, moved, gone and new, and identifiers that go to another customer.

    Args:
        before: customer of each identifier, NONE where it has none.
        after: the same after.
    """
    frame = pd.DataFrame({"before": before, "after": after})
    was = frame["before"].value_counts().drop(NONE, errors="ignore")
    will = frame["after"].value_counts()
    stay = frame.loc[frame["before"] == frame["after"], "before"].value_counts()
    every = pd.DataFrame({"was": was, "will": will, "stay": stay}).fillna(0)
    same = (every["was"] == every["will"]) & (every["was"] == every["stay"])
    lived, lives = every["was"] > 0, every["will"] > 0
    return {
        "unchanged": int(same.sum()),
        "moved": int((lived & lives & ~same).sum()),
        "gone": int((lived & ~lives).sum()),
        "new": int((~lived & lives).sum()),
        "identifiers": int(((before != after) & (before != NONE)).sum()),
    }


def _largest(customer: Ints, rank: Ints, kinds: list[str]) -> Cluster:
    known = customer[customer != NONE]
    if not len(known):
        return Cluster(NONE, {})
    ids, sizes = np.unique(known, return_counts=True)
    top = int(ids[np.argmax(sizes)])
    types, counts = np.unique(rank[customer == top], return_counts=True)
    return Cluster(top, {kinds[t]: int(n) for t, n in zip(types, counts, strict=True)})
