"""What new records change of identity.edge and identity.node, worked out on the driver.

An increment is small beside the lake, so what the tables said of the identifiers concerned is
brought to the driver and compared there: a handful of Spark jobs instead of a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.identity.arrays import distinct
from lakecdp.identity.evidence import (
    ATTRIBUTE,
    DATED,
    EDGE_FACTS,
    EDGE_KEY,
    INPUTS,
    NODE_FACTS,
    edges,
    nodes,
    nodes_again,
    records,
    union,
)
from lakecdp.identity.grouping import UNDATED, Ints
from lakecdp.identity.lookup import Brought, Tables, laid_over
from lakecdp.identity.numbers import ids

Read = Callable[[str], DataFrame]
Owners = dict[str, Ints]

_NODE_KEY = ["node_id"]
_TIMES = {"first_seen": "lo", "last_seen": "hi"}


def increment(
    spark: SparkSession, read: Read, new: Read, before: Tables
) -> tuple[Brought, Brought]:
    """Changed and vanished edges and nodes.

    Args:
        spark: the session.
        read: all rows of a silver table.
        new: its rows that are new to the job.
        before: identity.edge and identity.node.
    """
    undated = [t for t in INPUTS if t not in DATED]
    owners, lost = restated(new("silver.vacated"), {t: new(t) for t in undated})
    fresh = {t: records(t, new(t)) for t in INPUTS}
    every = nodes(union(list(fresh.values())))
    with ThreadPoolExecutor(1) as thread:
        # Both are mostly planning, which takes one core.
        beside = thread.submit(_pandas, every, _NODE_KEY, NODE_FACTS)
        edge_changes, was = _edges(spark, read, fresh, owners, before)
        added = beside.result()
    shown = was.loc[was["node_a"].isin(lost), "node_b"].to_numpy()
    gone = edge_changes.gone.column("node_b").to_numpy()
    doubtful = distinct(np.concatenate([lost, shown, gone]))
    added = added[~added["node_id"].isin(doubtful)]
    again = added.iloc[:0]
    if len(doubtful):
        leading = before.edges("node_b", doubtful)
        now = laid_over(leading, edge_changes.rows, edge_changes, EDGE_KEY)
        again = _pandas(
            nodes_again(ids(spark, "node_id", doubtful), spark.createDataFrame(now), read),
            _NODE_KEY,
            NODE_FACTS,
        )
    wanted = np.union1d(added["node_id"].to_numpy(), doubtful)
    known = _counted(before.nodes(wanted), _NODE_KEY, [*NODE_FACTS, "status"])
    kept = known[known["node_id"].isin(added["node_id"])]
    merged = _merged(pd.concat([added, kept.drop(columns="status")]), _NODE_KEY)
    rows = _differing(pd.concat([merged, again]), known, _NODE_KEY, ["type", "lo", "hi"])
    vanished = known[known["node_id"].isin(doubtful) & ~known["node_id"].isin(again["node_id"])]
    return edge_changes, Brought(
        _arrow(rows, _NODE_KEY, [*NODE_FACTS, "status", "_new", "_moved"]),
        _arrow(vanished, _NODE_KEY, [*NODE_FACTS, "status"]),
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
    owners = {str(t): distinct(g.to_numpy(np.int64)) for t, g in by_table}
    return owners, distinct(rows.loc[rows["lost"], "owner_node"].to_numpy(np.int64))


def _edges(
    spark: SparkSession, read: Read, fresh: dict[str, DataFrame], owners: Owners, before: Tables
) -> tuple[Brought, pd.DataFrame]:
    facts = [*EDGE_FACTS, "status", "reason"]
    added = _pandas(edges(union([fresh[t] for t in DATED])), EDGE_KEY, EDGE_FACTS)
    added = added[~_owned(added, owners)]
    parts = [added["node_a"].to_numpy(), *owners.values()]
    was = _counted(before.edges("node_a", np.concatenate(parts)), EDGE_KEY, facts)
    again = added.iloc[:0]
    if owners:
        mine = [
            records(t, read(t).join(ids(spark, "owner_node", o), "owner_node", "left_semi"))
            for t, o in owners.items()
        ]
        again = _pandas(edges(union(mine)), EDGE_KEY, EDGE_FACTS)
    old = was[_in(was, added)].drop(columns=["status", "reason"])
    now = pd.concat([_merged(pd.concat([added, old]), EDGE_KEY), again])
    rows = _differing(now, was, EDGE_KEY, ["type_a", "type_b", "weight", "lo", "hi", "evidence"])
    gone = was[_owned(was, owners) & ~_in(was, again)]
    changes = Brought(
        _arrow(rows, EDGE_KEY, [*facts, "_new", "_moved"]), _arrow(gone, EDGE_KEY, facts)
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
    """A frame as `_counted` has it."""
    return _counted(frame.select(*key, *facts).toArrow(), key, facts)


def _counted(rows: pa.Table, key: list[str], facts: list[str]) -> pd.DataFrame:
    """Rows with their times as whole microseconds, so that unknown ones compare too."""
    found = {}
    for name in [*key, *facts]:
        column = rows.column(name)
        if name in _TIMES:
            unknown = UNDATED if name == "first_seen" else -UNDATED
            micros = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            column = pc.fill_null(micros, int(unknown))
        found[_TIMES.get(name, name)] = column
    out: pd.DataFrame = pa.table(found).to_pandas()
    return out


def _arrow(frame: pd.DataFrame, key: list[str], columns: list[str]) -> pa.Table:
    """The way back from `_counted`."""
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
    return pa.table(arrays)
