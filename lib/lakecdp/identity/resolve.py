"""One batch of identity resolution: from new records to links and the ledger of customers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity import evidence, numbers, reach, region
from lakecdp.identity.arrays import distinct, is_among
from lakecdp.identity.customers import NONE, After, Before, assign
from lakecdp.identity.decisions import decided, nodes_of
from lakecdp.identity.distributed import numbered_changes, regroup
from lakecdp.identity.evidence import (
    DECISION,
    EDGE_FACTS,
    EDGE_KEY,
    INPUTS,
    MATCH,
    NODE_FACTS,
    REMOVED,
    Changes,
    as_records,
    in_force,
    match_edges,
)
from lakecdp.identity.files import Files
from lakecdp.identity.grouping import OPEN, Flags, Grouping, Ints, group
from lakecdp.identity.increment import increment
from lakecdp.identity.lookup import Lookup, Tables
from lakecdp.identity.numbers import ints
from lakecdp.identity.region import Lake, Region
from lakecdp.identity.shared import SHARED, devices, kept_apart, of_device
from lakecdp.platform.batch import Batch

NODE, EDGE, LINK, CHANGE = "identity.node", "identity.edge", "identity.link", "identity.change"
READS = (*INPUTS, "silver.vacated")
WRITES = (NODE, EDGE, LINK, CHANGE)
VERSION = "3"
WHOLE_BELOW = 1_000_000
IN_MEMORY_EDGES = 20_000_000
_NONE = np.zeros(0, dtype=np.int64)
Texts = NDArray[np.object_]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Outcome:
    """What a batch did.

    Attributes:
        nodes: identifiers grouped again.
        links: links opened.
        changes: rows of the ledger by kind.
        blocked: pairs now kept apart, by reason.
    """

    nodes: int = 0
    links: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    blocked: Counter[str] = field(default_factory=Counter)


def fingerprint(rules: IdentityRules) -> str:
    """Changes whenever the same evidence may be grouped otherwise, or devices be shared."""
    devices = ",".join(sorted(t.name for t in rules.types if t.of == "device"))
    return f"{VERSION}.{rules.fingerprint()}.{devices}"


def resolve(
    batch: Batch,
    rules: IdentityRules,
    *,
    whole_below: int = WHOLE_BELOW,
    in_memory_edges: int = IN_MEMORY_EDGES,
) -> Outcome:
    """Take in new evidence, group again what it touches, and write what differs.

    Args:
        batch: a batch with READS and WRITES; when it is `full`, everything is grouped again and
            ids are kept by the links as they are.
        rules: the rules in force.
        whole_below: with so few edges all are looked at, in three reads, rather than first looking
            for those that the batch can change; what is written is the same.
        in_memory_edges: so many edges are grouped on the driver, more by the executors; what is
            written is the same.
    """
    tables = _Tables(batch)
    if batch.full:
        edges, nodes = _everything(tables)
        lake = _lake(tables, rules, edges, nodes)
        if _size(tables, edges) > in_memory_edges:
            return _regroup(tables, lake, edges, nodes, rules, in_memory_edges)
        return _write(tables, lake, edges, nodes, region.everything(lake), rules, None)
    before = Tables(batch.among)
    look = Lookup(before, *increment(batch.spark, tables.read, tables.new, before), rules.names)
    edges, nodes = (c.frames(batch.spark) for c in (look.edge, look.node))
    lake = _lake(tables, rules, edges, nodes)
    seeds = _seeds(tables, lake, look)
    if not len(seeds):
        found = None
    elif tables.read(EDGE).count() > whole_below:
        found = reach.touched(lake, look, seeds)
    elif _size(tables, edges) > in_memory_edges:
        return _regroup(tables, lake, edges, nodes, rules, in_memory_edges)
    else:
        found = region.everything(lake)
    return _write(tables, lake, edges, nodes, found, rules, look)


def _seeds(tables: _Tables, lake: Lake, look: Lookup) -> Ints:
    """Identifiers whose grouping may change: by evidence, by decisions, or by the date."""
    before = end_of(date.fromisoformat(tables.batch.since.run_date))
    return distinct(
        np.concatenate(
            [
                reach.seeds(look.edge, look.node),
                nodes_of(tables.new(DECISION)),
                reach.due(lake, before),
            ]
        )
    )


def end_of(day: date) -> int:
    """The end of a day (UTC), microseconds."""
    midnight = datetime.combine(day + timedelta(days=1), time(), UTC)
    return (midnight - EPOCH) // timedelta(microseconds=1)


def _size(tables: _Tables, edges: Changes) -> int:
    """Rows of identity.edge, at most; the changes of an increment are few."""
    before = tables.read(EDGE).count() if tables.batch.since.mark else 0
    return before + (edges.rows.count() if tables.batch.full else 0)


class _Tables:
    """The tables of a batch: each is opened once, because opening one takes several Spark jobs."""

    def __init__(self, batch: Batch):
        self.batch = batch
        self._open: dict[str, DataFrame] = {}

    def read(self, name: str) -> DataFrame:
        """The published rows, of edges those whose evidence stands."""
        if name not in self._open:
            rows = self.batch.read(name)
            shape = {EDGE: in_force, DECISION: as_records, MATCH: match_edges}.get(name)
            self._open[name] = shape(rows) if shape else rows
        return self._open[name]

    def new(self, name: str) -> DataFrame:
        """The rows that are new to the job."""
        return self.read(name).where(F.col("_batch") > self.batch.since.mark)

    def keep(self, frame: DataFrame) -> DataFrame:
        """The same rows, computed once."""
        return self.batch.hold(frame) if self.batch.full else self.batch.keep(frame)


def _everything(tables: _Tables) -> tuple[Changes, Changes]:
    rows = evidence.union([evidence.records(t, tables.read(t)) for t in INPUTS])
    out = []
    for table, now, key, facts in (
        (EDGE, evidence.edges(rows), EDGE_KEY, EDGE_FACTS),
        (NODE, evidence.nodes(rows), ["node_id"], NODE_FACTS),
    ):
        before = tables.read(table)
        first = not tables.batch.since.mark
        gone = before.where("false") if first else before.join(now, key, "left_anti")
        changed = evidence.differing(now, before, key, facts)
        out.append(Changes(tables.keep(changed), tables.keep(gone)))
    return out[0], out[1]


def _lake(tables: _Tables, rules: IdentityRules, edges: Changes, nodes: Changes) -> Lake:
    batch = tables.batch
    now = evidence.overlay(tables.read(NODE), nodes, ["node_id"], NODE_FACTS)
    if batch.full:
        refused = numbers.junk_nodes(tables.read("silver.identifier"), rules)
        refused = refused.select("node_id", F.lit(True).alias("_refused"))
        # The status before stays readable: what differs from it is written.
        now = now.join(refused, "node_id", "left").withColumn("_status", F.col("status"))
        now = now.withColumn("status", F.when(F.col("_refused"), "junk")).drop("_refused")
    else:
        now = now.withColumn("_status", F.col("status"))
    return Lake(
        now,
        evidence.overlay(tables.read(EDGE), edges, EDGE_KEY, EDGE_FACTS),
        tables.read(LINK),
        rules.names,
        numbers.type_rules(rules),
        decided(tables.read(DECISION)),
        end_of(batch.run_date),
        _files(tables, rules, edges, nodes),
    )


def _files(tables: _Tables, rules: IdentityRules, edges: Changes, nodes: Changes) -> Files | None:
    """The tables by their files, when other rules are applied to evidence that is the same."""
    batch = tables.batch
    if not (batch.full and batch.since.mark):
        return None
    if not all(f.isEmpty() for c in (edges, nodes) for f in (c.rows, c.gone)):
        return None
    refused = numbers.junk_nodes(tables.read("silver.identifier"), rules).toArrow()
    return Files(batch.arrow, ints(refused, "node_id"))


def _write(
    tables: _Tables,
    lake: Lake,
    edges: Changes,
    nodes: Changes,
    found: Region | None,
    rules: IdentityRules,
    look: Lookup | None,
) -> Outcome:
    out, batch = Outcome(), tables.batch
    if found is None:
        _write_nodes(tables, lake.nodes.where("_changed"), nodes, None)
        _write_edges(tables, lake.edges.where("_changed"), edges, None)
        return out
    grouping = group(found.graph, lake.rules)
    gone = ints(found.lost, "customer_id")
    withdrawn = _withdrawn(found, edges)
    before = Before(found.customer, found.created, found.used, gone, withdrawn)
    after = assign(found.graph, grouping, before)
    said = reasons(found, grouping, lake.names)
    out.blocked.update(said[said != ""].tolist())
    out.nodes = len(found.graph.nodes)
    of = of_device(found.graph, rules)
    shared = of & kept_apart(found.graph, grouping.verdict)
    # A device may have been shared before; where all are written anew, it is told by being active.
    doubtful = shared if batch.full else of
    statuses, verdicts = _statuses(found, shared, doubtful), _verdicts(found, said)
    node_rows, edge_rows = lake.nodes, lake.edges
    if look is not None:
        node_rows = look.node_frame(lake.spark, ints(statuses, "node_id"))
        node_rows = node_rows.withColumn("_status", F.col("status"))
        edge_rows = look.edge_frame(lake.spark, ints(verdicts, "node_a"))
    _write_nodes(tables, node_rows, nodes, F.broadcast(lake.spark.createDataFrame(statuses)))
    _write_edges(tables, edge_rows, edges, lake.spark.createDataFrame(verdicts))
    at = _moment(batch, int(found.since.max(initial=0)))
    out.links = _write_links(batch, found, after, at)
    _write_ledger(batch, found, after, at)
    out.changes.update(after.ledger["kind"])
    return out


def _regroup(
    tables: _Tables,
    lake: Lake,
    edges: Changes,
    nodes: Changes,
    rules: IdentityRules,
    in_memory_edges: int,
) -> Outcome:
    """Group everything on the executors."""
    batch = tables.batch
    gone = edges.gone.select("node_a", "node_b")
    done = regroup(lake, gone, in_memory_edges, batch.settle, devices(rules))
    out = Outcome(nodes=done.nodes)
    _write_nodes(tables, lake.nodes, nodes, done.statuses)
    _write_edges(tables, lake.edges, edges, done.verdicts)
    at = _moment(batch, done.latest)
    ended = done.moved.where(F.col("before") != NONE).select(
        "node_id", F.col("before").alias("customer_id"), "since", F.lit(True).alias("closed")
    )
    lost = done.lost.select("node_id", "customer_id", "since", F.lit(True).alias("closed"))
    now = F.lit(_micros(at)).alias("since")
    begun = done.moved.select("node_id", "customer_id", now, F.lit(False).alias("closed"))
    _put_links(batch, ended.unionByName(lost).unionByName(begun), at)
    out.links = done.moved.count()
    out.changes.update(dict(done.ledger.groupBy("kind").count().collect()))
    if out.changes:
        _put_ledger(batch, numbered_changes(done.ledger, batch.settle), at)
    blocked = done.verdicts.where("_now <> ''").groupBy("_now").count()
    out.blocked.update(dict(blocked.collect()))
    return out


def _withdrawn(found: Region, edges: Changes) -> tuple[Ints, Ints]:
    """Pairs that no record shows any more, both ends of which are still there."""
    rows = edges.gone.select("node_a", "node_b").distinct().toArrow()
    rows = rows.sort_by([("node_a", "ascending"), ("node_b", "ascending")])
    a, b, known = ints(rows, "node_a"), ints(rows, "node_b"), found.graph.nodes
    both = is_among(a, known) & is_among(b, known)
    return np.searchsorted(known, a[both]), np.searchsorted(known, b[both])


def reasons(found: Region, grouping: Grouping, names: tuple[str, ...]) -> Texts:
    """Per pair of the region why it is blocked; empty when it is not."""
    verdict = np.concatenate([grouping.verdict, found.outside[0]])
    because = np.concatenate([grouping.because, found.outside[1]])
    return numbers.said(verdict, because, names)


def _statuses(found: Region, shared: Flags, doubtful: Flags) -> pa.Table:
    """Status of nodes that are not active, or perhaps were not: node_id, _now."""
    closed = found.graph.closed
    some = np.flatnonzero((closed != OPEN) | (found.was != OPEN) | doubtful)
    now = np.array([numbers.STATUS[c] for c in closed[some].tolist()], dtype=object)
    now[shared[some]] = SHARED
    return pa.table({"node_id": found.graph.nodes[some], "_now": pa.array(now, pa.string())})


def _write_nodes(tables: _Tables, rows: DataFrame, nodes: Changes, told: DataFrame | None) -> None:
    if told is None:
        rows = rows.withColumn("status", F.coalesce("_status", F.lit("active")))
    else:
        rows = rows.join(told, "node_id", "left")
        here = F.lit("active") if tables.batch.full else F.coalesce("_status", F.lit("active"))
        rows = rows.withColumn("status", F.coalesce("_now", here))
        rows = rows.where(F.col("_changed") | ~F.col("status").eqNullSafe(F.col("_status")))
    _upsert(tables, NODE, rows, nodes.gone)


def _verdicts(found: Region, now: Texts) -> pa.Table:
    """Reason of pairs that are or were blocked, empty for none: node_a, node_b, _now."""
    was = pc.not_equal(found.pairs.column("was"), "").to_numpy()
    # Hardly any pair is blocked: the texts of all others need not be compared.
    some = np.flatnonzero((now != "") | was)
    ends = {c: ints(found.pairs, c)[some] for c in ("node_a", "node_b")}
    return pa.table({**ends, "_now": pa.array(now[some], pa.string())})


def _write_edges(tables: _Tables, rows: DataFrame, edges: Changes, told: DataFrame | None) -> None:
    if told is None:
        rows = rows.withColumn("_say", F.coalesce("reason", F.lit("")))
    else:
        rows = rows.join(told, ["node_a", "node_b"], "left")
        rows = rows.withColumn("_say", F.coalesce("_now", "reason", F.lit("")))
        rows = rows.where(F.col("_changed") | (F.col("_say") != F.coalesce("reason", F.lit(""))))
    rows = rows.withColumn("reason", F.when(F.col("_say") != "", F.col("_say")))
    rows = rows.withColumn(
        "status", F.when(F.col("reason").isNull(), "active").otherwise("blocked")
    )
    gone = edges.gone.withColumns({"status": F.lit(REMOVED), "reason": F.lit("withdrawn")})
    _upsert(tables, EDGE, rows, gone, removed_at=tables.batch.started_at)


def _upsert(
    tables: _Tables,
    table: str,
    rows: DataFrame,
    gone: DataFrame,
    removed_at: datetime | None = None,
) -> None:
    """Write changed rows; those that are gone are deleted, or kept as removed at a time."""
    if not tables.batch.since.mark:
        tables.batch.append(table, rows.withColumn("removed_at", F.lit(None)))
        return
    columns = [c for c in gone.columns if c not in ("_batch", "removed_at")]
    both = rows.select(*columns, F.lit(False).alias("_gone")).unionByName(
        gone.select(*columns, F.lit(True).alias("_gone"))
    )
    if removed_at is not None:
        both = both.withColumn("removed_at", F.when(F.col("_gone"), F.lit(removed_at)))
    delete = removed_at is None
    if not tables.batch.full:
        brought = both.toArrow()
        taken = pc.and_(brought.column("_gone"), delete)
        tables.batch.put(table, brought.filter(pc.invert(taken)), brought.filter(taken))
        return
    both = tables.keep(both)
    if not both.isEmpty():
        tables.batch.upsert(table, both, delete_when="s._gone" if delete else None)


def _moment(batch: Batch, latest: int) -> datetime:
    """When links change: the start of the batch, and later than every link that it may close."""
    return max(batch.started_at, EPOCH + timedelta(microseconds=latest + 1))


def _micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _write_links(batch: Batch, found: Region, after: After, at: datetime) -> int:
    """Close and open links; returns how many were opened."""
    moved = after.customer != found.customer
    ended = moved & (found.customer != NONE)
    now = _micros(at)
    nodes, gone = found.graph.nodes, found.lost
    parts = [
        (nodes[ended], found.customer[ended], found.since[ended], True),
        (ints(gone, "node_id"), ints(gone, "customer_id"), ints(gone, "since"), True),
        (nodes[moved], after.customer[moved], np.full(int(moved.sum()), now), False),
    ]
    moment = pa.timestamp("us", "UTC")
    table = pa.concat_tables(
        pa.table(
            {
                "node_id": n,
                "customer_id": c,
                "valid_from": pa.array(s, pa.int64()).cast(moment),
                "valid_to": pa.repeat(pa.scalar(at if closed else None, moment), len(n)),
            }
        )
        for n, c, s, closed in parts
    ).combine_chunks()
    if table.num_rows:
        write = batch.put if batch.published(LINK) else batch.add
        write(LINK, table)
    return int(moved.sum())


def _put_links(batch: Batch, rows: DataFrame, at: datetime) -> None:
    """Write links that end or begin: node_id, customer_id, since, closed."""
    rows = rows.select(
        "node_id",
        "customer_id",
        F.timestamp_micros("since").alias("valid_from"),
        F.when(F.col("closed"), F.timestamp_micros(F.lit(_micros(at)))).alias("valid_to"),
    )
    batch.upsert(LINK, rows)


def _write_ledger(batch: Batch, found: Region, after: After, at: datetime) -> None:
    ledger = after.ledger
    if ledger.empty:
        return
    pair = ledger["pair"].to_numpy()
    said = np.full(len(pair), None, dtype=object)
    causes = found.pairs.column("source").take(pair[pair >= 0])
    said[pair >= 0] = causes.to_numpy(zero_copy_only=False)
    columns = {c: ledger[c].to_numpy() for c in ("customer_id", "nodes")}
    for name in ("from_customer_id", "node_a", "node_b"):
        values = ledger[name].to_numpy()
        columns[name] = pa.array(values, pa.int64(), mask=values == NONE)
    table = pa.table(
        {
            "kind": pa.array(ledger["kind"], pa.string()),
            "source": pa.array(said, pa.string()),
            **columns,
        }
    )
    number = pa.array(np.arange(1, len(ledger) + 1)).cast(pa.string())
    change = pc.binary_join_element_wise(str(batch.seq), number, "-")
    when = pa.repeat(pa.scalar(at, pa.timestamp("us", "UTC")), len(ledger))
    batch.add(CHANGE, table.append_column("change_id", change).append_column("changed_at", when))


def _put_ledger(batch: Batch, rows: DataFrame, at: datetime) -> None:
    change = F.concat_ws("-", F.lit(str(batch.seq)), F.col("number"))
    batch.append(CHANGE, rows.withColumns({"change_id": change, "changed_at": F.lit(at)}))
