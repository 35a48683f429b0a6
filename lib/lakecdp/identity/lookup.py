"""Rows of identifiers that are asked for, with what a batch changes laid over them.

Asked first and laid over then: of tables of any size only the rows concerned come to the driver, and
what changes is compared with those alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from lakecdp.identity.arrays import distinct
from lakecdp.identity.evidence import EDGE_FACTS, EDGE_KEY, NODE_FACTS, Changes
from lakecdp.identity.files import (
    EVIDENCE,
    LINK_COLUMNS,
    coded,
    edge_rows,
    link_rows,
    node_rows,
    standing,
)
from lakecdp.identity.grouping import OPEN, Ints
from lakecdp.identity.numbers import STATUS, flags, ints
from lakecdp.platform.datafiles import among_keys, plain

Among = Callable[[str, Sequence[str], str, pa.Array], pa.Table]
"""Columns of the rows of a table whose column stands among values; see `Batch.among`."""
EDGE_ROW = (*EDGE_KEY, *EDGE_FACTS, "status", "reason")
NODE_ROW = ("node_id", *NODE_FACTS, "status")
_CODES = {status: code for code, status in STATUS.items()}


@dataclass(frozen=True)
class Brought:
    """`Changes` on the driver."""

    rows: pa.Table
    gone: pa.Table

    def frames(self, spark: SparkSession) -> Changes:
        """The same as frames."""
        return Changes(spark.createDataFrame(self.rows), spark.createDataFrame(self.gone))


@dataclass(frozen=True)
class Tables:
    """Nodes, edges and links as they were before a batch.

    Attributes:
        among: how rows are asked for.
    """

    among: Among

    def nodes(self, wanted: Ints) -> pa.Table:
        """Rows of identity.node, in the columns NODE_ROW."""
        return plain(self.among("identity.node", NODE_ROW, "node_id", _distinct(wanted)))

    def edges(self, side: str, wanted: Ints, columns: Sequence[str] = EDGE_ROW) -> pa.Table:
        """Rows of identity.edge whose evidence stands, with one end among identifiers.

        Args:
            side: node_a or node_b.
            wanted: the identifiers.
            columns: those wanted.
        """
        asked = tuple(dict.fromkeys((*columns, "status")))
        found = self.among("identity.edge", asked, side, _distinct(wanted))
        return plain(standing(found).select([*columns]))

    def pairs_for(self, reasons: Sequence[str]) -> tuple[Ints, Ints]:
        """Ends of the pairs of identity.edge that are blocked for one of some reasons."""
        columns = ("node_a", "node_b", "status")
        said = pa.array(sorted(reasons), pa.string())
        found = standing(self.among("identity.edge", columns, "reason", said))
        return ints(found, "node_a"), ints(found, "node_b")

    def links(self, by: str, wanted: Ints) -> pa.Table:
        """Links, closed ones too, as `link_rows` has them.

        Args:
            by: node_id or customer_id.
            wanted: such ids.
        """
        return link_rows(self.among("identity.link", LINK_COLUMNS, by, _distinct(wanted)))


@dataclass(frozen=True)
class Lookup:
    """The tables as they will be, but for the verdicts; only what is asked for is looked at.

    Attributes:
        tables: as they were.
        edge: what the batch changes of identity.edge.
        node: what it changes of identity.node.
        names: identifier types, strongest first.
    """

    tables: Tables
    edge: Brought
    node: Brought
    names: tuple[str, ...]

    def nodes(self, wanted: Ints) -> pa.Table:
        """Identifiers as `numbers.node_arrays` has them, ascending."""
        found = self._nodes(wanted).sort_by("node_id")
        return node_rows(found, self.names, coded(found.column("status"), _CODES, OPEN))

    def edges(self, side: str, wanted: Ints) -> pa.Table:
        """Evidence with one end among identifiers, as `numbers.evidence_rows` has it.

        Args:
            side: node_a or node_b.
            wanted: the identifiers.
        """
        found = self.tables.edges(side, wanted, EVIDENCE)
        new = self.edge.rows
        new = new.filter(pc.is_in(new.column(side), value_set=_distinct(wanted)))
        found = laid_over(found, new, self.edge, EDGE_KEY)
        return edge_rows(found, flags(found, "_changed"))

    def node_frame(self, spark: SparkSession, wanted: Ints) -> DataFrame:
        """Rows of some identifiers and all changed rows, with `_changed`, as a frame."""
        return spark.createDataFrame(self._nodes(wanted, every=True))

    def edge_frame(self, spark: SparkSession, owners: Ints) -> DataFrame:
        """Evidence of some owners and all changed rows, with `_changed`, as a frame."""
        found = self.tables.edges("node_a", owners)
        return spark.createDataFrame(laid_over(found, self.edge.rows, self.edge, EDGE_KEY))

    def _nodes(self, wanted: Ints, *, every: bool = False) -> pa.Table:
        new = self.node.rows
        if not every:
            new = new.filter(pc.is_in(new.column("node_id"), value_set=_distinct(wanted)))
        return laid_over(self.tables.nodes(wanted), new, self.node, ["node_id"])


def laid_over(before: pa.Table, new: pa.Table, changes: Brought, key: list[str]) -> pa.Table:
    """Rows with those instead that a batch changes, and `_changed` for these.

    Args:
        before: rows as they were.
        new: changed rows that belong here.
        changes: all that the batch changes; no other row of such a key stays.
        key: columns that tell rows apart.
    """
    told = pa.concat_tables([changes.rows.select(key), changes.gone.select(key)])
    rest = before.filter(pa.array(~among_keys(before.select(key), told)))
    new = new.select(before.column_names).cast(before.schema)
    changed = np.arange(len(rest) + len(new)) >= len(rest)
    return pa.concat_tables([rest, new]).append_column("_changed", pa.array(changed))


def _distinct(values: Ints) -> pa.Array:
    return pa.array(distinct(values))
