"""Nodes and edges read from the files of their tables, past the JVM, as grouping wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakecdp.identity.arrays import is_among
from lakecdp.identity.evidence import DATED, DECISION, RECORDED, REMOVED
from lakecdp.identity.grouping import JUNK, LIKELY, MANUAL, OPEN, SEEN, UNDATED, Flags, Ints

EVIDENCE = (
    *("node_a", "node_b", "source", "target", "reason"),
    *("first_seen", "last_seen", "weight"),
)
LINK_COLUMNS = ("node_id", "customer_id", "valid_from", "valid_to")
Arrow = Callable[[str, Sequence[str]], pa.Table | None]


@dataclass(frozen=True)
class Files:
    """Tables by their files; None where these do not tell the rows, see `Lake.arrow`.

    Attributes:
        read: columns of a table.
        refused: nodes whose value the rules refuse.
    """

    read: Arrow
    refused: Ints

    def nodes(self, names: tuple[str, ...]) -> pa.Table | None:
        """As `numbers.node_arrays`, for a run that judges every node again: `was` knows JUNK alone."""
        table = self.read("identity.node", ("node_id", "type", "first_seen"))
        if table is None:
            return None
        was = np.full(table.num_rows, OPEN, dtype=np.int8)
        if len(self.refused):
            was[is_among(table.column("node_id").to_numpy(), self.refused)] = JUNK
        return node_rows(table, names, was)

    def edges(self) -> pa.Table | None:
        """As `numbers.evidence_rows`, of edges that no batch changes."""
        table = self.read("identity.edge", (*EVIDENCE, "status"))
        if table is None:
            return None
        table = standing(table)
        return edge_rows(table, np.zeros(table.num_rows, dtype=np.bool_))

    def links(self) -> pa.Table | None:
        """As `link_rows`, closed links too."""
        table = self.read("identity.link", LINK_COLUMNS)
        return None if table is None else link_rows(table)


def standing(edges: pa.Table) -> pa.Table:
    """Rows of identity.edge whose evidence still stands."""
    removed = coded(edges.column("status"), {REMOVED: 1}, 0)
    return edges.filter(pa.array(removed == 0)) if removed.any() else edges


def node_rows(table: pa.Table, names: tuple[str, ...], was: np.ndarray) -> pa.Table:
    """Rows of identity.node as `numbers.node_arrays` has them, with their status as a code."""
    place = {name: i for i, name in enumerate(names)}
    return pa.table(
        {
            "node_id": table.column("node_id").to_numpy(),
            "rank": coded(table.column("type"), place, len(names)),
            "first": _micros(table.column("first_seen")),
            "was": was,
        }
    )


def edge_rows(table: pa.Table, changed: Flags) -> pa.Table:
    """Rows of identity.edge as `numbers.evidence_rows` has them.

    Args:
        table: EVIDENCE at least.
        changed: which of them the batch changes.
    """
    target = table.column("target")
    told = coded(target, dict.fromkeys(RECORDED, 1), 0) == 1
    dated = coded(target, dict.fromkeys(DATED, 1), 0) == 1
    grade = np.where(told, SEEN, LIKELY).astype(np.int8)
    grade[coded(target, {DECISION: 1}, 0) == 1] = MANUAL
    at = _micros(table.column("first_seen"))
    return pa.table(
        {
            **{c: table.column(c) for c in ("node_a", "node_b")},
            "at": at,
            "seen": _where(dated, at),
            "last": _where(told, _micros(table.column("last_seen"))),
            "grade": grade,
            "weight": pc.fill_null(table.column("weight"), 1.0),
            "told": told,
            **{c: table.column(c) for c in ("source", "reason")},
            "changed": changed,
        }
    )


def link_rows(table: pa.Table) -> pa.Table:
    """Links as `numbers.link_arrays` has them: node_id, customer_id, since (microseconds), open."""
    return pa.table(
        {
            **{c: table.column(c) for c in ("node_id", "customer_id")},
            "since": _micros(table.column("valid_from")),
            "open": table.column("valid_to").is_null(),
        }
    )


def coded(texts: pa.ChunkedArray, codes: dict[str, int], other: int) -> np.ndarray:
    """A number for each text of a column."""
    parts = [np.zeros(0, dtype=np.int8)]
    plain = not pa.types.is_dictionary(texts.type)
    for chunk in (texts.dictionary_encode() if plain else texts).chunks:
        known = [codes.get(t, other) for t in chunk.dictionary.to_pylist()]
        numbers = np.array([*known, other], dtype=np.int8)
        parts.append(numbers[chunk.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)])
    return np.concatenate(parts)


def _where(known: Flags, times: Ints) -> Ints:
    return times if known.all() else np.where(known, times, UNDATED)


def _micros(times: pa.ChunkedArray) -> Ints:
    micros = times.cast(pa.timestamp("us", times.type.tz)).cast(pa.int64())
    out: Ints = pc.fill_null(micros, int(UNDATED)).to_numpy()
    return out
