"""From groups of identifiers to customers with lasting ids, and the ledger of what changed.

An id once given stays. Of a customer that falls apart, the part with most of its identifiers
keeps the id (then the part with the oldest identifier); of customers that come together, the oldest
id stays (then the smallest). A new customer is named after its founding identifier: the one seen
first, then the smallest; an id that was ever used is not used again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lakecdp.identity.arrays import ascending, firsts, places_of
from lakecdp.identity.grouping import OPEN, UNDATED, Graph, Grouping, Ints

NONE = 0
LEDGER = ["kind", "customer_id", "from_customer_id", "nodes", "node_a", "node_b", "pair"]
Used = Callable[[Ints], NDArray[np.bool_]]


@dataclass(frozen=True)
class Before:
    """The state before.

    Attributes:
        customer: customer of each node of the graph; NONE for new nodes.
        created: customer id -> when it began (arrival time, microseconds).
        used: which of some ids were ever a customer id.
        gone: customers of identifiers that exist no more, one entry per identifier.
        withdrawn: pairs (places of their ends) that were evidence before and are none now.
    """

    customer: Ints
    created: pd.Series
    used: Used
    gone: Ints
    withdrawn: tuple[Ints, Ints]


@dataclass(frozen=True)
class After:
    """The state after.

    Attributes:
        customer: customer of each node of the graph.
        ledger: columns LEDGER; `pair` is the place of the causing pair in the graph, -1 for none,
            NONE stands for no customer and no node.
    """

    customer: Ints
    ledger: pd.DataFrame


def assign(graph: Graph, grouping: Grouping, before: Before) -> After:
    """Give every group its customer id and account for what changed."""
    label, prev = grouping.label, before.customer
    founders = _founders(graph, label)
    flows = _flows(label, prev, founders)
    home = flows.sort_values(["prev", "size", "place"], ascending=[True, False, True])
    home = home.drop_duplicates("prev")
    claims = home.assign(age=home["prev"].map(before.created).fillna(0))
    kept = claims.sort_values(["label", "age", "prev"]).drop_duplicates("label")
    ids = np.full(len(founders), NONE, dtype=np.int64)
    ids[kept["label"].to_numpy()] = kept["prev"].to_numpy()
    fresh = np.flatnonzero(ids == NONE)
    ids[fresh] = _new_ids(founders["node"].to_numpy()[fresh], before.used)
    customer: Ints = ids[label]
    homes = pd.MultiIndex.from_frame(home[["label", "prev"]])
    flows["home"] = pd.MultiIndex.from_frame(flows[["label", "prev"]]).isin(homes)
    flows["customer"] = ids[flows["label"].to_numpy()]
    return After(customer, _ledger(graph, grouping, before, ids, flows))


def _founders(graph: Graph, label: Ints) -> pd.DataFrame:
    """Per label: founding node, and the label's place in order of founding."""
    # Nodes are ascending, so that of two as old the smaller comes first.
    unknown = graph.first == UNDATED
    last = graph.first.max(initial=0, where=~unknown) + 1
    order = ascending([np.where(unknown, last, graph.first)])
    found = firsts(label, int(label.max(initial=-1)) + 1, order)
    founds = np.zeros(len(order), dtype=np.bool_)
    founds[found] = True
    place = np.empty(len(found), dtype=np.int64)
    place[label[order[founds[order]]]] = np.arange(len(found))
    return pd.DataFrame({"node": graph.nodes[found], "place": place})


def _flows(label: Ints, prev: Ints, founders: pd.DataFrame) -> pd.DataFrame:
    """How many identifiers of each customer before are in each group."""
    known = prev != NONE
    frame = pd.DataFrame({"label": label[known], "prev": prev[known]})
    flows = frame.groupby(["label", "prev"], sort=True).size().rename("size").reset_index()
    flows["place"] = founders["place"].to_numpy()[flows["label"].to_numpy(dtype=np.int64)]
    return flows


def _new_ids(nodes: Ints, used: Used) -> Ints:
    ids: Ints = nodes.copy()
    if not len(ids):
        return ids
    taken, turn = used(ids), 0
    while taken.any():
        turn += 1
        ids[taken] = [_hashed(n, turn) for n in nodes[taken].tolist()]
        again = np.zeros(len(ids), dtype=np.bool_)
        again[taken] = used(ids[taken])
        taken = again
    return ids


def _hashed(node: int, turn: int) -> int:
    digest = hashlib.sha256(f"{node}\u001f{turn}".encode()).digest()
    return int.from_bytes(digest[:8], "big") & 0x7FFFFFFFFFFFFFFF


def _ledger(
    graph: Graph, grouping: Grouping, before: Before, ids: Ints, flows: pd.DataFrame
) -> pd.DataFrame:
    label, prev = grouping.label, before.customer
    pairs = _pairs(graph, grouping, before)
    joined = pairs[pairs["active"]]
    added = np.bincount(label[prev == NONE], minlength=len(ids))
    grown = np.flatnonzero(added)
    fresh = pd.DataFrame({"label": grown, "nodes": added[grown]})
    lived = np.zeros(len(ids), dtype=np.bool_)
    lived[flows["label"].to_numpy(dtype=np.int64)] = True
    fresh["kind"] = np.where(lived[fresh["label"].to_numpy(dtype=np.int64)], "extend", "create")
    fresh = fresh.merge(_first(joined[joined["fresh"]], "label_a"), on="label", how="left")
    moved = flows[flows["customer"] != flows["prev"]].rename(columns={"size": "nodes"})
    merged = moved[moved["home"]].assign(kind="merge")
    across = joined[joined["prev_a"] != joined["prev_b"]]
    merged = merged.merge(
        _first(across, "label_a", "prev_a", "prev_b"), on=["label", "prev"], how="left"
    )
    split = moved[~moved["home"]].assign(kind="split")
    within = pairs[(pairs["prev_a"] == pairs["prev_b"]) & ~pairs["active"]]
    either = pd.concat([within, within.assign(label_a=within["label_b"])])
    split = split.merge(_first(either, "label_a", "prev_a"), on=["label", "prev"], how="left")
    parts = [fresh.assign(prev=NONE), merged, split]
    out = pd.concat(
        [p[["kind", "label", "prev", "nodes", "node_a", "node_b", "pair"]] for p in parts]
    )
    out["customer_id"] = ids[out["label"].to_numpy(dtype=np.int64)]
    out = out.rename(columns={"prev": "from_customer_id"})
    if len(before.gone):
        lost = pd.Series(before.gone).value_counts().sort_index()
        # Every column is given: one that concat has to fill becomes double, and ids lose digits.
        none = pd.array([None] * len(lost), dtype="Int64")
        taken = pd.DataFrame(
            {
                "kind": "withdraw",
                "customer_id": lost.index.to_numpy(),
                "from_customer_id": NONE,
                "nodes": lost.to_numpy(),
                **dict.fromkeys(("node_a", "node_b", "pair"), none),
            }
        )
        out = pd.concat([out[LEDGER], taken])
    out = out[LEDGER].fillna({"node_a": NONE, "node_b": NONE, "pair": -1})
    whole = {c: np.int64 for c in LEDGER if c != "kind"}
    return out.astype(whole).sort_values(
        ["customer_id", "kind", "from_customer_id"], ignore_index=True
    )


def _pairs(graph: Graph, grouping: Grouping, before: Before) -> pd.DataFrame:
    """Pairs that may be the cause of a change, in their fixed order, vanished ones last."""
    a = np.concatenate([graph.a, before.withdrawn[0]])
    b = np.concatenate([graph.b, before.withdrawn[1]])
    label, prev = grouping.label, before.customer
    real = len(graph.a)
    active = np.zeros(len(a), dtype=np.bool_)
    active[:real] = grouping.verdict == OPEN
    by = np.concatenate([places_of(grouping.order), np.arange(real, len(a))])
    if prev.any():
        fresh = active & ((prev[a] == NONE) | (prev[b] == NONE))
        some = active & (prev[a] != prev[b])
    else:
        fresh, some = active, np.zeros(len(a), dtype=np.bool_)
    shut = np.flatnonzero(~active)
    some[shut] = label[a[shut]] != label[b[shut]]
    # Of the pairs that made a group grow the first alone is told, so the others, nearly all pairs
    # of a first run, need not be looked at.
    grew = firsts(label[a], int(label.max(initial=-1)) + 1, by[fresh[by]])
    some[grew[grew >= 0]] = True
    at = by[some[by]]
    a, b = a[at], b[at]
    # Ids stay whole numbers: object columns survive a left join where int64 would become double.
    return pd.DataFrame(
        {
            "node_a": pd.array(graph.nodes[a], dtype="Int64"),
            "node_b": pd.array(graph.nodes[b], dtype="Int64"),
            "label_a": label[a],
            "label_b": label[b],
            "prev_a": prev[a],
            "prev_b": prev[b],
            "active": active[at],
            "fresh": fresh[at],
            "pair": pd.array(np.where(at < real, at, -1), dtype="Int64"),
        }
    )


def _first(pairs: pd.DataFrame, label: str, *prevs: str) -> pd.DataFrame:
    """The first pair per label, or per label and customer before (at either end)."""
    kept = ["node_a", "node_b", "pair"]
    if not prevs:
        firsts = pairs.drop_duplicates(label)
        return firsts[[label, *kept]].rename(columns={label: "label"})
    rows = [pairs[[label, p, *kept]].rename(columns={label: "label", p: "prev"}) for p in prevs]
    both = pd.concat(rows).sort_index(kind="stable") if len(rows) == 1 else _interleaved(rows)
    return both.drop_duplicates(["label", "prev"])


def _interleaved(rows: list[pd.DataFrame]) -> pd.DataFrame:
    places = np.concatenate([np.arange(len(r)) for r in rows])
    return pd.concat(rows).iloc[np.argsort(places, kind="stable")]
