"""One lot of identifiers, grouped by a worker with the functions that group everything on the driver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from lakecdp.identity.arrays import ascending, is_among
from lakecdp.identity.customers import NONE, Before, assign
from lakecdp.identity.grouping import OPEN, Flags, Ints, TypeRules, group
from lakecdp.identity.numbers import flags, ints
from lakecdp.identity.numbers import said as said_in_words
from lakecdp.identity.region import Decided, drawn_together, graph_of

OUTCOME = "what STRING, x BIGINT, y BIGINT, before BIGINT, since BIGINT, nodes BIGINT, text STRING, source STRING"
"""Columns of `grouped`; what they hold depends on `what`."""
_SCHEMA = pa.schema(
    [
        ("what", pa.string()),
        *((c, pa.int64()) for c in ("x", "y", "before", "since", "nodes")),
        ("text", pa.string()),
        ("source", pa.string()),
    ]
)


@dataclass(frozen=True)
class Said:
    """Rules and decisions, as every lot needs them; see `Lake`."""

    names: tuple[str, ...]
    rules: TypeRules
    decided: Decided
    until: int


def grouped(members: pa.Table, told: pa.Table, *, said: Said, taken: Ints) -> pa.Table:
    """Group one lot.

    Args:
        members: its identifiers: node_id, rank, first (microseconds), closed, customer_id and since
            (0 for none), created (microseconds; of the customer) and taken (was a customer id).
        told: its rows of evidence, see `numbers.evidence_rows`, with gone (withdrawn pairs).
        said: rules and decisions.
        taken: further ids that were customer ids.

    Returns:
        Rows in the columns of OUTCOME, of four kinds of `what`. link: one per identifier (x) that
        moves to a customer (y), with the one before and since when. change: one per row of the
        ledger, with the customer (x), the one it came from (before), the pair that caused it (y,
        since), how many nodes, its kind (text) and source. pair: one per pair (x, y) that is or was
        blocked, with the reason (text). asked: ids (x) that were made up.
    """
    by = ascending([ints(members, "node_id")])
    nodes, rank, first, closed, customer, since, created = (
        ints(members, c)[by]
        for c in ("node_id", "rank", "first", "closed", "customer_id", "since", "created")
    )
    used_here = np.concatenate([nodes[flags(members, "taken")[by]], taken])
    gone = flags(told, "gone")
    pairs, causes = drawn_together(nodes, told.filter(pa.array(~gone)))
    graph = graph_of(said, nodes, rank, first, closed, pairs)
    grouping = group(graph, said.rules)
    left = told.filter(pa.array(gone)).sort_by([("node_a", "ascending"), ("node_b", "ascending")])
    a, b = (np.searchsorted(nodes, ints(left, c)) for c in ("node_a", "node_b"))
    ages = pd.Series(created, index=customer)
    ages = ages[~ages.index.duplicated()].drop(NONE, errors="ignore")
    asked: list[Ints] = [np.zeros(0, dtype=np.int64)]

    def used(some: Ints) -> Flags:
        asked.append(some[~is_among(some, nodes)])
        hit: Flags = is_among(some, used_here)
        return hit

    after = assign(graph, grouping, Before(customer, ages, used, asked[0], (a, b)))
    moved = np.flatnonzero(after.customer != customer)
    ledger = after.ledger
    cause = ledger["pair"].to_numpy()
    source = np.full(len(ledger), None, dtype=object)
    source[cause >= 0] = causes.column("source").take(cause[cause >= 0]).to_pylist()
    why = said_in_words(grouping.verdict, grouping.because, said.names)
    kept = np.flatnonzero((grouping.verdict != OPEN) | (pairs.was != 0))
    return pa.concat_tables(
        [
            _part(
                "link",
                x=nodes[moved],
                y=after.customer[moved],
                before=customer[moved],
                since=since[moved],
            ),
            _part(
                "change",
                x=ledger["customer_id"].to_numpy(),
                y=ledger["node_a"].to_numpy(),
                before=ledger["from_customer_id"].to_numpy(),
                since=ledger["node_b"].to_numpy(),
                nodes=ledger["nodes"].to_numpy(),
                text=ledger["kind"].to_numpy(),
                source=source,
            ),
            _part("pair", x=nodes[pairs.a[kept]], y=nodes[pairs.b[kept]], text=why[kept]),
            _part("asked", x=np.concatenate(asked)),
        ]
    )


def _part(what: str, **columns: np.ndarray) -> pa.Table:
    size = len(columns["x"])
    arrays = [pa.array([what], pa.string()).take(pa.array(np.zeros(size, dtype=np.int64)))]
    for field in list(_SCHEMA)[1:]:
        values = columns.get(field.name)
        arrays.append(
            pa.nulls(size, field.type) if values is None else pa.array(values, field.type)
        )
    return pa.table(arrays, schema=_SCHEMA)
