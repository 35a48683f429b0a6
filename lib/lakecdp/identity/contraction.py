"""Connected components of more edges than one machine holds.

Rounds in Spark make the graph smaller until its edges fit into memory, where scipy ends the work. In a
round every node picks the neighbour, or itself, that comes first in an order that is new in each
round; all that pick the same one are drawn together, and edges that then lead nowhere or stand twice
are dropped. A random order leaves at most three quarters of the nodes, on average, whatever the graph, long
chains too (H. Boegeholz, M. Brand, R.-A. Todor: In-database connected component analysis, 2020).

The first round uses what is known of evidence: edges lead from an owner to weaker identifiers, so
each weaker one picks its smallest owner. That takes one pass in one direction, and leaves hardly any
edge where owners have no owners.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakecdp.identity.arrays import Ints, connected

Keep = Callable[[DataFrame], DataFrame]

_WORD = 1 << 64
_HALF = 32


def components(edges: DataFrame, in_memory: int, keep: Keep) -> DataFrame:
    """The component of each node.

    Args:
        edges: owner BIGINT and other BIGINT; may hold a pair more than once.
        in_memory: with so many edges or fewer the rest is done on the driver.
        keep: gives the same rows, computed once.

    Returns:
        One row per node that some edge leads away from its own name: node BIGINT, root BIGINT (a node of the same
        component, the same for all its nodes). Nodes that are missing are roots themselves.
    """
    if edges.limit(in_memory + 1).count() <= in_memory:
        return _united(edges, keep)
    by_other = Window.partitionBy("other")
    picked = keep(edges.withColumn("root", F.min("owner").over(by_other)))
    first = keep(picked.groupBy(F.col("other").alias("node")).agg(F.min("root").alias("root")))
    of_owner = first.select(F.col("node").alias("owner"), F.col("root").alias("_root"))
    moved = picked.join(of_owner, "owner", "left")
    rest = keep(_tidy(moved, F.coalesce("_root", "owner"), F.col("root")))
    maps: list[DataFrame] = []
    while rest.count() > in_memory:
        maps.append(keep(_picked(rest, len(maps))))
        rest = keep(_drawn_together(rest, maps[-1]))
    found = _united(rest, keep)
    for one in reversed(maps):
        found = keep(_then(one, found))
    # Owners that no one owns are no row of the first map.
    owners = found.join(first, "node", "left_anti")
    return keep(_then(first, found).unionByName(owners).where("node <> root"))


def rooted(rows: DataFrame, column: str, roots: DataFrame, name: str) -> DataFrame:
    """Rows with the root of a column's node as a further column."""
    found = roots.select(F.col("node").alias(column), F.col("root").alias("_root"))
    return (
        rows.join(found, column, "left").withColumn(name, F.coalesce("_root", column)).drop("_root")
    )


def _tidy(rows: DataFrame, x: Column, y: Column) -> DataFrame:
    """Edges, each once, without those from a node to itself."""
    ends = rows.select(x.alias("x"), y.alias("y")).where("x <> y")
    return ends.select(
        F.least("x", "y").alias("owner"), F.greatest("x", "y").alias("other")
    ).distinct()


def _picked(edges: DataFrame, number: int) -> DataFrame:
    """What each node picks: node, root."""
    both = edges.select(F.col("owner").alias("node"), F.col("other").alias("near")).union(
        edges.select("other", "owner")
    )
    seen = both.groupBy("node").agg(F.min(_mixed("near", number)).alias("near"))
    least = F.least("near", _mixed("node", number))
    return seen.select("node", least.alias("place")).select(
        "node", _unmixed("place", number).alias("root")
    )


def _drawn_together(edges: DataFrame, picks: DataFrame) -> DataFrame:
    one = picks.select(F.col("node").alias("owner"), F.col("root").alias("x"))
    two = picks.select(F.col("node").alias("other"), F.col("root").alias("y"))
    return _tidy(edges.join(one, "owner").join(two, "other"), F.col("x"), F.col("y"))


def _then(first: DataFrame, second: DataFrame) -> DataFrame:
    """One map after another."""
    after = second.select(F.col("node").alias("root"), F.col("root").alias("_root"))
    return first.join(after, "root", "left").select(
        "node", F.coalesce("_root", "root").alias("root")
    )


def _united(edges: DataFrame, keep: Keep) -> DataFrame:
    """Components of edges that fit into memory."""
    table = edges.select("owner", "other").toArrow()
    a, b = (table.column(c).to_numpy().astype(np.int64, copy=False) for c in ("owner", "other"))
    nodes, root = united(a, b)
    moved = nodes != root
    found = pa.table({"node": nodes[moved], "root": root[moved]})
    return keep(edges.sparkSession.createDataFrame(found))


def united(a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """Nodes of edges, ascending, and the smallest node of each one's component."""
    nodes, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    count, label = connected(len(nodes), place[: len(a)], place[len(a) :])
    root = np.empty(count, dtype=np.int64)
    root[label[::-1]] = nodes[::-1]
    return nodes, root[label]


def _factors(number: int) -> tuple[int, int]:
    """Two odd numbers of 64 bits for a round."""
    one = (0x9E3779B97F4A7C15 + 0xD1B54A32D192ED02 * number) % _WORD | 1
    two = (0xBF58476D1CE4E5B9 + 0x94D049BB133111EC * number) % _WORD | 1
    return one, two


def _signed(value: int) -> Column:
    value %= _WORD
    return F.lit(value - _WORD if value >> 63 else value).cast("bigint")


def _folded(column: Column) -> Column:
    return column.bitwiseXOR(F.shiftrightunsigned(column, _HALF))


def _mixed(name: str, number: int) -> Column:
    """An order of all whole numbers, as good as random: a one-to-one map, undone by `_unmixed`."""
    one, two = _factors(number)
    return _folded(F.col(name) * _signed(one)) * _signed(two)


def _unmixed(name: str, number: int) -> Column:
    one, two = (pow(x, -1, _WORD) for x in _factors(number))
    return _folded(F.col(name) * _signed(two)) * _signed(one)
