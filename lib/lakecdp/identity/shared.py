"""Devices that persons share, and what that does to whom facts count for.

A device is shared when a limit or a veto keeps some person apart from it. What was done on it and
tells no person, nor does its session, may have been done by any of them: it counts for nobody.
"""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.grouping import OPEN, VETO, Flags, Graph, Ints

SHARED = "shared"


def devices(rules: IdentityRules) -> list[int]:
    """Places of the types that stand for a device."""
    return [i for i, t in enumerate(rules.types) if t.of == "device"]


def of_device(graph: Graph, rules: IdentityRules) -> Flags:
    """Which nodes stand for a device."""
    found: Flags = np.isin(graph.rank, devices(rules))
    return found


def kept_apart(graph: Graph, verdict: Ints) -> Flags:
    """Nodes that join others, but that a veto keeps apart from some."""
    found = np.zeros(len(graph.nodes), dtype=np.bool_)
    vetoed = verdict == VETO
    found[graph.a[vetoed]] = True
    found[graph.b[vetoed]] = True
    found[graph.closed != OPEN] = False
    return found


def counting(links: DataFrame, nodes: DataFrame, rules: IdentityRules) -> DataFrame:
    """Links over which facts count for a customer: all but those of shared devices.

    Args:
        links: identity.link.
        nodes: identity.node.
        rules: the rules in force.

    Returns:
        The rows of `links`.
    """
    shared = nodes.where(is_shared(rules)).select("node_id")
    return links.join(shared, "node_id", "left_anti")


def is_device(rules: IdentityRules) -> str:
    """Condition on rows of identity.node: it stands for a device."""
    kinds = ", ".join(repr(t.name) for t in rules.types if t.of == "device")
    return f"type IN ({kinds})" if kinds else "false"


def is_shared(rules: IdentityRules) -> str:
    """Condition on rows of identity.node: it is a device that persons share."""
    return f"status IN ('{SHARED}', 'limit') AND {is_device(rules)}"
