"""What new records change of identity.edge and identity.node, worked out on the driver.

An increment is small beside the lake, so what the tables said of the identifiers concerned is
brought to the driver and compared there: a handful of Spark jobs instead of a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.identity.evidence import (
    ATTRIBUTE,
    DATED,
    EDGE_FACTS,
    EDGE_KEY,
    INPUTS,
    NODE_FACTS,
    Changes,
    edges,
    nodes,
    nodes_again,
    overlay,
    records,
    union,
)
from lakecdp.identity.grouping import UNDATED, Ints

Read = Callable[[str], DataFrame]
Owners = dict[str, Ints]

_NODE_KEY = ["node_id"]
_TIMES = {"first_seen": "lo", "last_seen": "hi"}


def increment(
    read: Read, new: Read, before_edges: DataFrame, before_nodes: DataFrame
) -> tuple[Changes, Changes]:
    """Changed and vanished edges and nodes.

    Args:
        read: all rows of a silver table.
        new: its rows that are new to the job.
        before_edges: identity.edge.
        before_nodes: identity.node.
    """
    spark = before_edges.sparkSession
    undated = [t for t in INPUTS if t not in DATED]
    owners, lost = restated(new("silver.vacated"), {t: new(t) for t in undated})
    fresh = {t: records(t, new(t)) for t in INPUTS}
    edge_changes, was = _edges(spark, read, fresh, owners, before_edges)
    now = overlay(before_edges, edge_changes, EDGE_KEY, EDGE_FACTS)
    shown = was.loc[was["node_a"].isin(lost), "node_b"].to_numpy()
    gone = edge_changes.gone.select("node_b").toArrow().column("node_b").to_numpy()
    doubtful = np.unique(np.concatenate([lost, shown, gone]))
    added = _pandas(nodes(union(list(fresh.values()))), _NODE_KEY, NODE_FACTS)
    added = added[~added["node_id"].isin(doubtful)]
    again = added.iloc[:0]
    if len(doubtful):
        again = _pandas(
            nodes_again(one_column(spark, "node_id", doubtful), now, read), _NODE_KEY, NODE_FACTS
        )
    wanted = np.union1d(added["node_id"].to_numpy(), doubtful)
    old = before_nodes.join(one_column(spark, "node_id", wanted), "node_id", "left_semi")
    known = _pandas(old, _NODE_KEY, [*NODE_FACTS, "status"])
    kept = known[known["node_id"].isin(added["node_id"])]
    merged = _merged(pd.concat([added, kept.drop(columns="status")]), _NODE_KEY)
    rows = _differing(pd.concat([merged, again]), known, _NODE_KEY, ["type", "lo", "hi"])
    vanished = known[known["node_id"].isin(doubtful) & ~known["node_id"].isin(again["node_id"])]
    return edge_changes, Changes(
        _spark(spark, rows, _NODE_KEY, [*NODE_FACTS, "status", "_new", "_moved"]),
        _spark(spark, vanished, _NODE_KEY, [*NODE_FACTS, "status"]),
    )


def restated(vacated: DataFrame, undated: dict[str, DataFrame]) -> tuple[Owners, Ints]:
    """Owners whose evidence must be computed again rather than added to, by table.

    Records of theirs were updated or deleted; or they stand in tables whose rows carry no past,
    such as silver.attribute.

    Args:
        vacated: new rows of silver.vacated.
        undated: new rows of those tables.

    Returns:
        the owners, and those of them that may have lost records: not for a new attribute, which
        shows its owner itself.
    """
    left = vacated.where(F.col("owner_node").isNotNull() & F.col("target").isin(*INPUTS))
    left = left.select("target", "owner_node", F.lit(True).alias("lost"))
    now = [
        r.select(F.lit(t).alias("target"), "owner_node", F.lit(t != ATTRIBUTE).alias("lost"))
        for t, r in undated.items()
    ]
    rows = union([left, *now]).distinct().toArrow().to_pandas()
    by_table = rows.groupby("target")["owner_node"]
    owners = {str(t): np.unique(g.to_numpy(np.int64)) for t, g in by_table}
    return owners, np.unique(rows.loc[rows["lost"], "owner_node"].to_numpy(np.int64))


def one_column(spark: SparkSession, name: str, values: Ints) -> DataFrame:
    """Distinct ids as a frame of one column."""
    return spark.createDataFrame(pa.table({name: np.unique(values)}))


def _edges(
    spark: SparkSession, read: Read, fresh: dict[str, DataFrame], owners: Owners, before: DataFrame
) -> tuple[Changes, pd.DataFrame]:
    facts = [*EDGE_FACTS, "status", "reason"]
    added = _pandas(edges(union([fresh[t] for t in DATED])), EDGE_KEY, EDGE_FACTS)
    added = added[~_owned(added, owners)]
    parts = [added["node_a"].to_numpy(), *owners.values()]
    centres = one_column(spark, "node_a", np.concatenate(parts))
    was = _pandas(before.join(centres, "node_a", "left_semi"), EDGE_KEY, facts)
    again = added.iloc[:0]
    if owners:
        mine = [
            records(t, read(t).join(one_column(spark, "owner_node", o), "owner_node", "left_semi"))
            for t, o in owners.items()
        ]
        again = _pandas(edges(union(mine)), EDGE_KEY, EDGE_FACTS)
    old = was[_in(was, added)].drop(columns=["status", "reason"])
    now = pd.concat([_merged(pd.concat([added, old]), EDGE_KEY), again])
    rows = _differing(now, was, EDGE_KEY, ["type_a", "type_b", "weight", "lo", "hi", "evidence"])
    gone = was[_owned(was, owners) & ~_in(was, again)]
    changes = Changes(
        _spark(spark, rows, EDGE_KEY, [*facts, "_new", "_moved"]),
        _spark(spark, gone, EDGE_KEY, facts),
    )
    return changes, was


def _owned(frame: pd.DataFrame, owners: Owners) -> pd.Series:
    """Rows whose evidence is computed again."""
    hits = [(frame["target"] == t) & frame["node_a"].isin(o) for t, o in owners.items()]
    return reduce(lambda x, y: x | y, hits, pd.Series(False, index=frame.index))


def _in(frame: pd.DataFrame, other: pd.DataFrame) -> np.ndarray:
    """Rows of edges that stand in another frame too."""
    index = pd.MultiIndex.from_frame(other[EDGE_KEY])
    found: np.ndarray = pd.MultiIndex.from_frame(frame[EDGE_KEY]).isin(index)
    return found


def _merged(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """One row per key: first and last time; the other facts are those of the first record."""
    by = ["lo", "evidence"] if "evidence" in rows else ["lo"]
    rows = rows.sort_values(by, kind="stable")
    firsts = rows.drop_duplicates(key).set_index(key)
    firsts["hi"] = rows.groupby(key)["hi"].max()
    return firsts.reset_index()[list(rows.columns)]


def _differing(
    now: pd.DataFrame, was: pd.DataFrame, key: list[str], facts: list[str]
) -> pd.DataFrame:
    """Rows that are new or have other facts than before, with the verdict they had."""
    both = now.merge(was, on=key, how="left", suffixes=("", "_was"), indicator=True)
    both["_new"] = both["_merge"] == "left_only"
    other = reduce(lambda x, y: x | y, [both[f] != both[f"{f}_was"] for f in facts])
    dated = both["target"].isin(DATED) if "target" in both else True
    both["_moved"] = both["_new"] | ((both["lo"] != both["lo_was"]) & dated)
    if "weight" in both:
        both["_moved"] |= both["weight"] != both["weight_was"]
    return both[both["_new"] | other]


def _pandas(frame: DataFrame, key: list[str], facts: list[str]) -> pd.DataFrame:
    """A frame with its times as whole microseconds, so that unknown ones compare too."""
    columns: list[Column | str] = [*key]
    for name in facts:
        if name in _TIMES:
            unknown = F.lit(UNDATED if name == "first_seen" else -UNDATED)
            columns.append(F.coalesce(F.unix_micros(name), unknown).alias(_TIMES[name]))
        else:
            columns.append(name)
    found: pd.DataFrame = frame.select(*columns).toArrow().to_pandas()
    return found


def _spark(
    spark: SparkSession, frame: pd.DataFrame, key: list[str], columns: list[str]
) -> DataFrame:
    """The way back from `_pandas`."""
    arrays = {}
    for name in [*key, *columns]:
        values = frame[_TIMES.get(name, name)]
        if name in _TIMES:
            unknown = values.abs().to_numpy() == UNDATED
            arrays[name] = pa.array(values.to_numpy(), pa.int64(), mask=unknown).cast(
                pa.timestamp("us", "UTC")
            )
        elif name.startswith("node_"):
            arrays[name] = pa.array(values.to_numpy(np.int64))
        elif name.startswith("_"):
            arrays[name] = pa.array(values.to_numpy(np.bool_))
        elif name == "weight":
            arrays[name] = pa.array(values.to_numpy(np.float64))
        else:
            arrays[name] = pa.array(values.where(values.notna(), None), pa.string())
    return spark.createDataFrame(pa.table(arrays))
